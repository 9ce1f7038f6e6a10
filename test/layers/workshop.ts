import { mkdirSync } from 'node:fs'
import { basename } from 'node:path'
import { type LayerNotice, type SnapshotOptions, Snapshots } from '../../lib/layers/index.ts'
import { type Digest, hexOf, Store, toDigest } from '../../lib/store/index.ts'
import { type Agent, closeZygote, confined, type Zygote, zygoteOf } from '../../lib/zygote/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { readTree } from './tree-reader.ts'

/** A store with a zygote, in which tests unpack layers and look at what became of them. */
export interface Workshop extends AsyncDisposable {
  readonly store: Store
  readonly zygote: Zygote
  readonly snapshots: Snapshots
  /** Whether files can belong to others than the one id there is. */
  readonly ownership: boolean
  agent(path: string): Promise<Agent>
  /** A new, empty directory of the store, as agents see it. */
  directory(): string
  /** An agent in a new, empty directory of the store. */
  scratch(): Promise<Agent>
  /** Unpacks layers, the bottom one first. Resolves to the tree that the topmost became, in overlayfs' form. */
  unpack(
    layers: readonly Uint8Array[],
    options?: SnapshotOptions,
  ): Promise<{ tree: Record<string, string>; notices: LayerNotice[]; chain: Digest[] }>
}

export async function workshop(): Promise<Workshop> {
  const directory = temporaryDirectory('layers')
  const store = await Store.open(directory.path)
  const zygote = await zygoteOf(store.root)
  const snapshots = new Snapshots(store)
  const ownership = zygote.ids.kind !== 'single'
  const agent = (path: string): Promise<Agent> => confined(zygote, path)
  const newDirectory = (): string => {
    const path = store.temporary('snapshots')
    mkdirSync(path, { mode: 0o755 })
    return `/store/snapshots/${basename(path)}`
  }
  return {
    store,
    zygote,
    snapshots,
    ownership,
    agent,
    directory: newDirectory,
    scratch: () => agent(newDirectory()),
    async unpack(layers, options = {}) {
      const notices: LayerNotice[] = []
      const sources = []
      for (const layer of layers) {
        const { digest } = await store.blobs.put(layer)
        sources.push({ digest, diffId: toDigest('sha256', hexOf(digest)) })
      }
      const chain = await snapshots.ensure(sources, agent, { ownership, onNotice: (notice) => notices.push(notice), ...options })
      await using reader = await agent(snapshots.agentPath(chain.at(-1) as Digest))
      return { tree: await readTree(reader), notices, chain }
    },
    async [Symbol.asyncDispose]() {
      await closeZygote(store.root)
      directory[Symbol.dispose]()
    },
  }
}
