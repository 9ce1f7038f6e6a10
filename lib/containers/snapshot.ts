import { optionCheck, StrakeError } from '../errors/index.ts'
import { hostPlatform, type ImageData, Images, namesFrom } from '../images/index.ts'
import { sourceDateEpoch } from '../layers/index.ts'
import type { Container } from './container.ts'
import { commitUpper } from './layer.ts'

export interface SnapshotOptions {
  /** Names for the image. */
  readonly tag?: string | readonly string[] | undefined
}

const checkSnapshotOptions = optionCheck<SnapshotOptions>('snapshot', { tag: true })

/**
 * An image whose top layer is what a container wrote. Of a stopped container the upper itself becomes the layer, over which it has a new one;
 * of a running one it is copied while everything in there is frozen. With SOURCE_DATE_EPOCH
 * later times become that in the layer, and the upper, which has others, stays the container's.
 */
export async function snapshot(container: Container, options: SnapshotOptions = {}): Promise<ImageData> {
  checkSnapshotOptions(options)
  const tags = namesFrom(options.tag)
  const { runtime, directory } = container.parts
  const { image } = container
  const epoch = sourceDateEpoch()
  using _ = runtime.store.hold()
  const isRunning = container.state === 'running' || container.state === 'paused'
  const below = container.layersBelow
  const layer = await container
    .whileFrozen(() => commitUpper(runtime, directory, below.at(-1)?.chainId, { keeps: true, clampTime: epoch }))
    .catch((cause: unknown) => {
      if (container.state !== 'removed') throw cause
      throw new StrakeError('container_not_found', `The container ${container.name} was removed meanwhile.`, { cause })
    })
  const created = new Date(epoch === undefined ? Date.now() : epoch * 1000).toISOString()
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
  if (!isRunning && epoch === undefined) await container.giveUpper(layer, made.history)
  return made
}
