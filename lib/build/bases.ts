import { stat } from 'node:fs/promises'
import { goneBlob, hostPlatform, type ImageData, type ImageSource, Images, importImage, parsePlatform } from '../images/index.ts'
import { blobKey, type Digest, isDigest, type Store } from '../store/index.ts'
import { cacheKey } from './cache.ts'
import type { BuildContext } from './context.ts'
import { hostLayer } from './host/layer.ts'
import { fieldsOf, readRecord, writeRecord } from './records.ts'
import { referencedImage } from './referenced.ts'
import { defaultEnvironment } from './settings.ts'
import type { Stage } from './stage.ts'
import type { Base } from './step.ts'

function stageOf(image: ImageData): Stage {
  const { config, layers, history, created, platform } = image
  return { settings: config, layers, history, created, platform, hasOwnCmd: false, origin: image }
}

/** Holds all that an image consists of, while the build is under way; the first of its blobs that is not in the store any more. */
async function missingOf({ digest, id, layers }: ImageData, store: Store): Promise<Digest | undefined> {
  const parts = [digest, id, ...layers.map((layer) => layer.digest)]
  await store.note(...parts.map(blobKey))
  for (const part of parts) if (!(await store.blobs.has(part))) return part
  return undefined
}

/** Somebody may remove the image, or prune the store, meanwhile. Rejects with `store_invalid` where that came first. */
async function heldStage(image: ImageData, store: Store): Promise<Stage> {
  const missing = await missingOf(image, store)
  if (missing !== undefined) throw goneBlob(missing)
  return stageOf(image)
}

function parseImported(value: unknown): Digest | undefined {
  const { digest } = fieldsOf(value)
  return isDigest(digest) ? digest : undefined
}

/** An archive or root directory, brought into the store; a file that has not changed since is not read again. */
async function imported(source: ImageSource, context: BuildContext): Promise<ImageData> {
  const { store } = context.runtime
  const { platform } = context
  const stats = await stat(source.path, { bigint: true }).catch(() => undefined)
  if (!stats?.isFile()) context.onMade?.()
  if (!stats?.isFile()) return await importImage(store, source, { platform })
  const seen = [stats.size, stats.mtimeNs, stats.ctimeNs, stats.ino, stats.dev].map(String)
  const record = store.path('cache', 'base', cacheKey({ source, platform: platform ?? null, seen }))
  const known = readRecord(record, parseImported)
  const found = known && (await new Images(store).find(known))
  if (found && (await missingOf(found, store)) === undefined) return found
  context.onMade?.()
  const image = await importImage(store, source, { platform })
  writeRecord(store, record, { digest: image.digest })
  return image
}

/** The context for a base of another platform than the build's. */
function forPlatform(platform: string | undefined, context: BuildContext): BuildContext {
  if (platform === undefined) return context
  return { ...context, options: { ...context.options, platform }, platform: parsePlatform(platform) }
}

/** What a stage starts from. Rejects with `image_not_found`, and as imports and pulls do. */
export async function openBase(base: Base, context: BuildContext): Promise<Stage> {
  const { store } = context.runtime
  const empty: Stage = {
    settings: {},
    layers: [],
    history: [],
    created: undefined,
    platform: context.platform ?? hostPlatform,
    hasOwnCmd: false,
  }
  switch (base.kind) {
    case 'scratch':
      return { ...empty, settings: { WorkingDir: '/' } }
    case 'host': {
      const layer = await hostLayer(store, context.epoch, context.onMade)
      const history = [{ created_by: "the host's shell and tools", comment: 'strake' }]
      return { ...empty, settings: { Env: defaultEnvironment, Cmd: ['/bin/sh'] }, layers: [layer], history, platform: hostPlatform }
    }
    case 'reference':
      return await heldStage(await referencedImage(base.reference, forPlatform(base.platform, context)), store)
    case 'image':
      return await heldStage(base.image, store)
    case 'steps':
      return await context.build(base.steps)
    default:
      return await heldStage(await imported(base, context), store)
  }
}
