import { checkHooks, optionCheck } from '../errors/index.ts'
import { diffEntries, packLayer, Snapshots, sourceDateEpoch } from '../layers/index.ts'
import { overlayOps } from '../rootfs/index.ts'
import type { Store } from '../store/index.ts'
import type { Op } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import type { ImageData } from './image.ts'
import { type Compress, checkTarget, type SaveTarget, writeOut } from './write-out.ts'

export interface ExportOptions {
  /** Default `none`. */
  readonly compress?: Compress | undefined
  /** Ends it at any point, whatever it waits for; it rejects with `aborted`. A stream is destroyed then. */
  readonly signal?: AbortSignal | undefined
}

export const checkExportOptions = optionCheck<ExportOptions>('export', { compress: true, signal: true })

export interface ExportPlace {
  /** An agent whose root is a path of the zygote, or what ops mount there. */
  readonly agentFor: (root: string | readonly Op[]) => Promise<Agent>
  /** false where only one id is mapped: everything is said to be root's. */
  readonly ownership: boolean
}

/**
 * Writes the file system that the image's layers, which are unpacked, make together: one tar, sorted, without whiteouts. The same image gives the same bytes
 * on any machine whose user has ids to give to its files; times later than SOURCE_DATE_EPOCH become that. How the image is run is not in it.
 */
export async function exportRootfs(
  store: Store,
  image: Pick<ImageData, 'layers'>,
  place: ExportPlace,
  target: SaveTarget,
  options: ExportOptions = {},
): Promise<void> {
  checkExportOptions(options)
  checkHooks({ signal: options.signal })
  checkTarget(target)
  const snapshots = new Snapshots(store)
  const lowers = image.layers.map(({ chainId }) => snapshots.agentPath(chainId)).reverse()
  const [only, ...more] = lowers
  const clampTime = sourceDateEpoch()
  if (only === undefined) return await writeOut(target, packLayer([]), options)
  const agent = await place.agentFor(more.length === 0 ? only : overlayOps({ lowers, scaffold: false }))
  try {
    const entries = diffEntries(agent, { ownership: place.ownership, whiteouts: false, signal: options.signal })
    await writeOut(target, packLayer(entries, { clampTime }), options)
  } finally {
    await agent.close()
  }
}
