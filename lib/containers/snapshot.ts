import { optionCheck, StrakeError } from '../errors/index.ts'
import { hostPlatform, type ImageData, Images, namesFrom } from '../images/index.ts'
import type { Container } from './container.ts'
import { commitUpper } from './layer.ts'

export interface SnapshotOptions {
  /** Names for the image. */
  readonly tag?: string | readonly string[] | undefined
}

const checkSnapshotOptions = optionCheck<SnapshotOptions>('snapshot', { tag: true })

/**
 * An image whose top layer is what a container wrote. Of a stopped container the upper itself becomes the layer, over which it has a new one;
 * of a running one it is copied while everything in there is frozen.
 */
export async function snapshot(container: Container, options: SnapshotOptions = {}): Promise<ImageData> {
  checkSnapshotOptions(options)
  const tags = namesFrom(options.tag)
  const { runtime, directory } = container.parts
  const { image } = container
  using _ = runtime.store.hold()
  const isRunning = container.state === 'running' || container.state === 'paused'
  const below = container.layersBelow
  const layer = await container
    .whileFrozen(() => commitUpper(runtime, directory, below.at(-1)?.chainId, { keeps: true }))
    .catch((cause: unknown) => {
      if (container.state !== 'removed') throw cause
      throw new StrakeError('container_not_found', `The container ${container.name} was removed meanwhile.`, { cause })
    })
  const created = new Date().toISOString()
  const { argv } = container.parts.spec.command
  const made = await new Images(runtime.store).put(
    {
      config: {
        platform: image.platform ?? hostPlatform,
        created,
        config: image.config,
        diffIds: [...below.map(({ diffId }) => diffId), layer.diffId],
        history: [...container.historyBelow, { created, created_by: argv.join(' ').slice(0, 1000), comment: 'strake snapshot' }],
      },
      layers: [...below, layer.descriptor].map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    },
    { tags },
  )
  if (!isRunning) await container.giveUpper(layer, made.history)
  return made
}
