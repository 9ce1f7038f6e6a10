import { changesOf, type FileChange } from '../layers/index.ts'
import { overlayOps } from '../rootfs/index.ts'
import { confined } from '../zygote/index.ts'
import type { ContainerDirectory } from './directory.ts'
import type { Runtime } from './runtime.ts'

/** What is in a container's upper, against the layers below it, the top one first. Nothing may write to it meanwhile. */
export async function changesIn(runtime: Runtime, directory: ContainerDirectory, lowers: readonly string[]): Promise<FileChange[]> {
  const zygote = await runtime.zygote()
  const upper = await confined(zygote, `${directory.zygotePath}/upper`)
  try {
    const lower = lowers.length === 0 ? undefined : await confined(zygote, overlayOps({ lowers }))
    try {
      return await changesOf(upper, lower)
    } finally {
      await lower?.close()
    }
  } finally {
    await upper.close()
  }
}
