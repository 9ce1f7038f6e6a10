import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, utimes } from 'node:fs/promises'
import { StrakeError } from '../../errors/index.ts'
import { packLayer, unpackLayer } from '../../layers/index.ts'
import type { Release } from '../../store/index.ts'
import { flags, type Op } from '../../sys/index.ts'
import { type BuildContext, defaultEpoch } from '../context.ts'
import { carryOutCopy, planCopy } from '../copy.ts'
import { upperEntries } from '../file-layer.ts'
import { escapePattern } from '../files/pattern.ts'
import { RootPaths } from '../files/root-paths.ts'
import { Upper } from '../files/upper.ts'
import { openImage } from '../image-source.ts'
import type { CacheMount, CacheSharing } from '../mount.ts'
import { type Stage, snapshotsOf } from '../stage.ts'

/** A cache in use: a directory of the store that is kept until the build ends, and is this step's as its `sharing` says. */
export interface OpenCache {
  /** As the zygote sees it. */
  readonly source: string
  release(): Promise<void>
}

/** Caches are told apart by their id and by what they begin with: in the store, by this name. */
export function cacheName(mount: CacheMount, from: Stage | undefined): string {
  const begin = from ? [snapshotsOf(from).at(-1) ?? null, mount.source] : null
  return createHash('sha256')
    .update(JSON.stringify([mount.id, begin]))
    .digest('hex')
    .slice(0, 32)
}

const strictest: readonly CacheSharing[] = ['locked', 'private', 'shared']

/** How a step shares a cache that it mounts in several places: it is one directory, taken once, so the strictest of them counts. */
export function sharingOf(mounts: readonly CacheMount[]): CacheSharing {
  return strictest.find((each) => mounts.some(({ sharing }) => sharing === each)) ?? 'shared'
}

/** Takes the cache of this name for the time of the step. */
async function take(name: string, context: BuildContext, timeout: number): Promise<Release> {
  return await context.runtime.store.lock(`mount-use-${name}`, { signal: context.options.signal, timeout, isTransient: true })
}

/** A cache that nobody else uses: the first that is free, or another one. */
async function takeFree(name: string, context: BuildContext): Promise<{ readonly name: string; readonly release: Release }> {
  for (let number = 0; ; number += 1) {
    const each = number === 0 ? name : `${name}-${number}`
    try {
      return { name: each, release: await take(each, context, 0) }
    } catch (error) {
      if (!(error instanceof StrakeError) || error.code !== 'store_busy') throw error
    }
  }
}

async function fill(mount: CacheMount, from: Stage, path: string, context: BuildContext): Promise<void> {
  const { runtime, options, epoch } = context
  await using source = await openImage(from, context)
  const request = { paths: [escapePattern(mount.source)], where: 'the image that the cache begins with' }
  const planned = await planCopy(request, source, options.signal)
  await using agent = await runtime.agentFor(path)
  for (const each of planned.leftOut ?? []) context.onNotice?.(each)
  const { canChown } = runtime
  const { signal } = options
  const upper = new Upper(new RootPaths(agent), { canChown, epoch: epoch ?? defaultEpoch })
  await carryOutCopy({ destination: '/' }, planned, upper, '/', signal)
  await unpackLayer(packLayer(upperEntries(upper, source, signal)), agent, { ownership: canChown, signal })
}

/** Makes the directory, all of it under another name first: a build that is killed leaves none that is half filled. */
async function make(mount: CacheMount, from: Stage | undefined, path: string, context: BuildContext): Promise<void> {
  const { runtime } = context
  await using agent = await runtime.agentFor(path)
  await agent.run([
    { op: 'removeTree', path: '/new', tolerate: ['ENOENT'] },
    { op: 'mkdir', path: '/new', mode: 0o700 },
  ])
  if (from) await fill(mount, from, `${path}/new`, context)
  const owner: Op[] = runtime.canChown ? [{ op: 'chown', path: '/new', uid: mount.uid, gid: mount.gid }] : []
  await agent.run([
    ...owner,
    { op: 'chmod', path: '/new', mode: mount.mode },
    { op: 'rename', from: '/new', path: '/data', flags: flags.RENAME.RENAME_NOREPLACE },
  ])
}

/**
 * The directory of a cache, made when there is none. Rejects with `aborted` while it waits for another build (`locked`), and as copies do when it
 * begins with files of an image.
 */
export async function openCache(
  mount: CacheMount,
  from: Stage | undefined,
  sharing: CacheSharing,
  context: BuildContext,
): Promise<OpenCache> {
  const { store } = context.runtime
  const first = cacheName(mount, from)
  const { name, release } =
    sharing === 'private'
      ? await takeFree(first, context)
      : { name: first, release: sharing === 'locked' ? await take(first, context, Number.POSITIVE_INFINITY) : async () => {} }
  try {
    // Announced before it is looked for: a collector leaves it alone from here on.
    await store.note(`mount:${name}`)
    const path = store.path('cache', 'mounts', name)
    await mkdir(path, { recursive: true, mode: 0o700 })
    await store.withLock(
      `mount-${name}`,
      async () => {
        if (!existsSync(`${path}/data`)) await make(mount, from, `/store/cache/mounts/${name}`, context)
      },
      { signal: context.options.signal, isTransient: true },
    )
    // When it was used last, for `prune({ olderThan })`.
    const now = new Date()
    await utimes(path, now, now)
    return { source: `/store/cache/mounts/${name}/data`, release }
  } catch (error) {
    await release()
    throw error
  }
}
