import type { BuildContext } from './context.ts'
import type { FileSource } from './files/entry.ts'
import { ImageFiles } from './files/image-files.ts'
import type { BuildLayer } from './runtime.ts'
import { imageLayers, type Stage, snapshotsOf } from './stage.ts'

/** The layers of another image under an upper that is thrown away. */
export async function openLayersOf(stage: Stage, context: BuildContext): Promise<BuildLayer> {
  const { signal } = context.options
  await context.runtime.unpack({ layers: imageLayers(stage) }, { signal, onNotice: context.onNotice })
  return await context.runtime.openLayer(snapshotsOf(stage), { signal, scaffold: false })
}

/** The files of another image. */
export async function openImage(stage: Stage, context: BuildContext): Promise<FileSource> {
  const layer = await openLayersOf(stage, context)
  try {
    return new ImageFiles(await layer.agent(), () => layer.discard())
  } catch (error) {
    await layer.discard()
    throw error
  }
}
