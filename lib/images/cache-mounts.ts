import { readdir, rename, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { AgentFor } from '../layers/index.ts'
import { failedWith, type HoldKey, type Store } from '../store/index.ts'
import { measureTree } from './measure.ts'

/** A directory that `run`s of builds have mounted as a cache: `cache/mounts/NAME/data`. */
export interface CacheMountDirectory {
  readonly name: string
  /** When it was mounted last, in milliseconds since 1970. */
  readonly used: number
}

function keyOf({ name }: CacheMountDirectory): HoldKey {
  return `mount:${name}`
}

export async function cacheMounts(store: Store): Promise<CacheMountDirectory[]> {
  const found: CacheMountDirectory[] = []
  for (const name of await readdir(store.path('cache', 'mounts')).catch(nothing)) {
    const stats = await stat(store.path('cache', 'mounts', name)).catch(nothing)
    if ('mtimeMs' in stats) found.push({ name, used: stats.mtimeMs })
  }
  return found
}

function nothing(error: unknown): never[] {
  if (failedWith(error, 'ENOENT')) return []
  throw error
}

/** Each with its bytes, and whether a build is at it. */
export async function measureCacheMounts(
  store: Store,
  agentFor: AgentFor,
): Promise<{ readonly bytes: number; readonly isHeld: boolean }[]> {
  const mounts = await cacheMounts(store)
  if (mounts.length === 0) return []
  const held = store.holds.held()
  const measured: { bytes: number; isHeld: boolean }[] = []
  const agent = await agentFor('/store/cache/mounts')
  try {
    for (const mount of mounts)
      measured.push({ bytes: (await measureTree(agent, `/${mount.name}/data`)).bytes, isHeld: held.has(keyOf(mount)) })
  } finally {
    await agent.close()
  }
  return measured
}

/** Removes the caches that were mounted last before `newest` and that no build is at. */
export async function pruneCacheMounts(
  store: Store,
  agentFor: AgentFor,
  newest: number,
): Promise<{ readonly count: number; readonly bytes: number }> {
  const old = new Map((await cacheMounts(store)).filter(({ used }) => used <= newest).map((mount) => [keyOf(mount), mount]))
  const held = (): ReadonlySet<HoldKey> => new Set(store.holds.held().keys())
  const before = held()
  const removed = { count: 0, bytes: 0 }
  await store.withLock('collect', () =>
    store.holds.remove(
      [...old.keys()].filter((key) => !before.has(key)),
      async () => held(),
      async (keys) => {
        const paths: string[] = []
        for (const key of keys) {
          const path = store.temporary('cache')
          const mount = old.get(key)
          if (mount) await rename(store.path('cache', 'mounts', mount.name), path).then(() => paths.push(path), nothing)
        }
        if (paths.length === 0) return
        const agent = await agentFor('/store/cache')
        try {
          for (const path of paths) {
            removed.bytes += (await measureTree(agent, `/${basename(path)}/data`)).bytes
            await agent.run([{ op: 'removeTree', path: `/${basename(path)}` }])
            removed.count += 1
          }
        } finally {
          await agent.close()
        }
      },
    ),
  )
  return removed
}
