import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { BuildCommand, BuildCommandResult, BuildLayer, BuildRuntime } from '../../lib/build/index.ts'
import type { ImageData } from '../../lib/images/index.ts'
import { chainId, type LayerEntry, storeLayer } from '../../lib/layers/index.ts'
import { type Digest, hexOf, type Store } from '../../lib/store/index.ts'
import type { Agent } from '../../lib/zygote/index.ts'
import { applyLayer } from './apply.ts'
import { DirectoryAgent } from './directory-agent.ts'

/** What a made-up command does to the root directory it is given. */
export type FakeCommand = (command: BuildCommand, root: string) => Partial<BuildCommandResult> | Promise<Partial<BuildCommandResult>>

/**
 * A runtime without a kernel's help: every snapshot is a whole directory, and a layer is all of it. What the solver asks for can
 * be counted: `opened`, `left` (layers neither committed nor discarded), `commands`.
 */
export class FakeRuntime implements BuildRuntime {
  readonly store: Store
  readonly canChown = true
  readonly commands: BuildCommand[] = []
  opened = 0
  left = 0
  readonly #behave: FakeCommand

  constructor(store: Store, behave: FakeCommand = () => ({})) {
    this.store = store
    this.#behave = behave
  }

  snapshot(chain: Digest): string {
    return this.store.path('snapshots', hexOf(chain))
  }

  async unpack({ layers }: Pick<ImageData, 'layers'>): Promise<void> {
    for (const [index, { chainId: chain, digest }] of layers.entries()) {
      if (existsSync(this.snapshot(chain))) continue
      const root = this.#copy(layers[index - 1]?.chainId)
      await applyLayer(await this.store.blobs.stream(digest), root)
      renameSync(root, this.snapshot(chain))
    }
  }

  settle(): Promise<void> {
    return Promise.resolve()
  }

  agentFor(path: string): Promise<Agent> {
    return Promise.resolve(new DirectoryAgent(path))
  }

  layerPaths(chain: readonly Digest[]): readonly string[] {
    return chain.map((each) => this.snapshot(each)).reverse()
  }

  #copy(lower: Digest | undefined): string {
    const root = this.store.temporary('tmp')
    if (lower) cpSync(this.snapshot(lower), root, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true })
    else mkdirSync(root)
    return root
  }

  async openLayer(lowers: readonly Digest[]): Promise<BuildLayer> {
    this.opened += 1
    this.left += 1
    const lower = lowers.at(-1)
    const root = this.#copy(lower)
    let isOpen = true
    const end = (): void => {
      if (isOpen) this.left -= 1
      isOpen = false
    }
    return {
      id: `fake-${this.opened}`,
      directory: { path: root, zygotePath: root },
      agent: async (): Promise<Agent> => new DirectoryAgent(root),
      run: async (command) => {
        this.commands.push(command)
        return { exitCode: 0, signal: null, timedOut: false, ...(await this.#behave(command, root)) }
      },
      commit: async () => {
        const { descriptor, diffId } = await storeLayer(this.store, entries(root, ''))
        const chain = chainId(lower, diffId)
        if (existsSync(this.snapshot(chain))) rmSync(root, { recursive: true })
        else renameSync(root, this.snapshot(chain))
        end()
        return { descriptor, diffId }
      },
      discard: async () => {
        rmSync(root, { recursive: true, force: true })
        end()
      },
    }
  }
}

function* entries(root: string, path: string): Generator<LayerEntry> {
  for (const entry of readdirSync(join(root, path), { withFileTypes: true }).sort((one, other) => (one.name < other.name ? -1 : 1))) {
    const child = join(path, entry.name)
    const full = join(root, child)
    if (entry.isSymbolicLink()) yield { path: child, type: 'symlink', linkPath: readlinkSync(full) }
    else if (entry.isFile()) yield { path: child, type: 'file', mode: statSync(full).mode & 0o7777, content: readFileSync(full) }
    else {
      yield { path: child, type: 'directory' }
      yield* entries(root, child)
    }
  }
}
