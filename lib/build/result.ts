import { type ImageData, Images } from '../images/index.ts'
import type { Store } from '../store/index.ts'
import type { Stage } from './stage.ts'

/** Stores a stage as an image, under `tags` if there are any. A stage that no step changed is the image that it came from. */
export async function writeStage(store: Store, stage: Stage, tags: readonly string[]): Promise<ImageData> {
  const images = new Images(store)
  if (stage.origin) {
    for (const tag of tags) await images.tag(stage.origin, tag)
    return tags.length === 0 ? stage.origin : await images.get(stage.origin.digest)
  }
  const { platform, created, author, settings, layers, history, added } = stage
  return await images.put(
    {
      config: {
        platform,
        ...(created === undefined ? {} : { created }),
        ...(author === undefined ? {} : { author }),
        config: settings,
        diffIds: layers.map(({ diffId }) => diffId),
        history: added ? [...history, ...added.entries()] : history,
      },
      layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    },
    { tags },
  )
}
