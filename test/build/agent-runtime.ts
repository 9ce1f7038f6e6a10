import { rmSync } from 'node:fs'
import type { BuildCommandResult, BuildLayer, BuildRuntime } from '../../lib/build/index.ts'
import type { ImageData } from '../../lib/images/index.ts'
import { chainId, diffLayer, emptyRoot, Snapshots } from '../../lib/layers/index.ts'
import { freshUpper, overlayOps } from '../../lib/rootfs/index.ts'
import { type Digest, ownedName, type Store } from '../../lib/store/index.ts'
import { type Agent, confined, type Zygote } from '../../lib/zygote/index.ts'

/**
 * Layers made by the kernel, without containers: uppers of real overlays, written by confined agents. A command is run by the agent
 * of the layer itself, in a root without /proc and /dev: enough to see what it leaves.
 */
export class AgentRuntime implements BuildRuntime {
  readonly store: Store
  readonly #zygote: Zygote
  readonly #snapshots: Snapshots

  constructor(store: Store, zygote: Zygote) {
    this.store = store
    this.#zygote = zygote
    this.#snapshots = new Snapshots(store)
  }

  get canChown(): boolean {
    return this.#zygote.ids.kind !== 'single'
  }

  async unpack({ layers }: Pick<ImageData, 'layers'>): Promise<void> {
    await this.#snapshots.ensure(layers, (path) => confined(this.#zygote, path), { ownership: this.canChown })
  }

  settle(): Promise<void> {
    return Promise.resolve()
  }

  agentFor(path: string): Promise<Agent> {
    return confined(this.#zygote, path)
  }

  layerPaths(chain: readonly Digest[]): readonly string[] {
    return [...chain].reverse().map((each) => this.#snapshots.agentPath(each))
  }

  async openLayer(lowers: readonly Digest[]): Promise<BuildLayer> {
    const name = ownedName()
    const { upper, work, ops } = freshUpper(`/store/containers/${name}`)
    await this.#zygote.agent.run(ops)
    const layers = [...lowers].reverse().map((lower) => this.#snapshots.agentPath(lower))
    let agent: Agent | undefined
    const open = async (): Promise<Agent> => (agent ??= await confined(this.#zygote, overlayOps({ lowers: layers, upper, work })))
    const clean = async (): Promise<void> => {
      await agent?.close()
      const janitor = await confined(this.#zygote, `/store/containers/${name}`)
      await emptyRoot(janitor)
      await janitor.close()
      rmSync(this.store.path('containers', name), { recursive: true, force: true })
    }
    let isOpen = true
    return {
      id: name,
      directory: { path: this.store.path('containers', name), zygotePath: `/store/containers/${name}` },
      agent: open,
      run: async ({ argv, env, cwd }): Promise<BuildCommandResult> => {
        const child = (await open()).start({
          clone: 0,
          ops: [
            { op: 'chdir', path: cwd },
            { op: 'started' },
            { op: 'exec', paths: [argv[0] ?? ''], argv, env: Object.entries(env).map(([key, value]) => `${key}=${value}`) },
          ],
        })
        await child.started
        const { exitCode, signal } = await child.ended
        return { exitCode, signal, timedOut: false }
      },
      commit: async () => {
        await agent?.run([{ op: 'syncFs', path: '/' }])
        await agent?.close()
        agent = undefined
        const differ = await confined(this.#zygote, upper)
        try {
          const { descriptor, diffId } = await diffLayer(this.store, differ, { ownership: this.canChown })
          await this.#snapshots.adopt(chainId(lowers.at(-1), diffId), this.store.path('containers', name, 'upper'))
          return { descriptor, diffId }
        } finally {
          await differ.close()
          isOpen = false
          await clean()
        }
      },
      discard: async () => {
        if (isOpen) await clean()
        isOpen = false
      },
    }
  }
}
