import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { ImageFiles } from '../../lib/build/files/image-files.ts'
import { type BuildOptions, type BuildRuntime, buildImage } from '../../lib/build/index.ts'
import { buildRuntime, Runtime } from '../../lib/containers/index.ts'
import { StrakeError } from '../../lib/errors/index.ts'
import type { ImageBuilder } from '../../lib/fluent/index.ts'
import type { ImageData } from '../../lib/images/index.ts'
import { closeZygote } from '../../lib/zygote/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'

export interface Bench {
  /** Of the test; the store is in there, and the context. */
  readonly directory: string
  readonly context: string
  readonly shared: Runtime
  readonly runtime: BuildRuntime
  build(builder: ImageBuilder, options?: BuildOptions): Promise<ImageData>
  /** Paths of a layer's tar, the last layer's unless told. */
  paths(built: ImageData, layer?: number): Promise<string[]>
  /** The text of a file of the image, or the target of a link; undefined when there is none. */
  read(built: ImageData, path: string): Promise<string | undefined>
  /** Mode, uid, gid and size of what is at a path. */
  stat(built: ImageData, path: string): Promise<readonly [mode: number, uid: number, gid: number] | undefined>
}

/** A store with containers, and a context, for one test; nothing may be left of a build in it. */
export async function withBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory('build')
  const shared = await Runtime.open(join(directory.path, 'store'))
  const runtime: BuildRuntime = await buildRuntime(shared)
  const context = join(directory.path, 'context')
  mkdirSync(context)
  async function withFiles<T>(built: ImageData, look: (files: ImageFiles) => Promise<T>): Promise<T> {
    await runtime.unpack(built)
    const layer = await runtime.openLayer(built.layers.map(({ chainId }) => chainId))
    await using files = new ImageFiles(await layer.agent(), () => layer.discard())
    return await look(files)
  }
  try {
    await work({
      directory: directory.path,
      context,
      shared,
      runtime,
      build: ({ steps }, options) => buildImage(steps, { context, ...options }, runtime),
      async paths(built, layer = -1) {
        const { walkTar } = await import('../../lib/layers/index.ts')
        const digest = built.layers.at(layer)?.digest
        assert.ok(digest)
        const found: string[] = []
        for await (const entry of walkTar([await runtime.store.blobs.read(digest)])) found.push(entry.path.toString())
        return found.sort()
      },
      read: (built, path) =>
        withFiles(built, async (files) => {
          const entry = (await files.find(path))[0]?.entries[0]
          if (!entry) return undefined
          const pieces: Buffer[] = []
          for await (const piece of files.read(entry)) pieces.push(piece)
          return Buffer.concat(pieces).toString()
        }),
      stat: (built, path) =>
        withFiles(built, async (files) => {
          const entry = (await files.find(path))[0]?.entries[0]
          return entry && ([entry.mode, entry.uid, entry.gid] as const)
        }),
    })
    assert.equal(readdirSync(runtime.store.path('containers')), [], 'no container directory is left')
    assert.equal(readdirSync(runtime.store.path('tmp')), [], 'nothing is left in tmp')
  } finally {
    await closeZygote(runtime.store.root)
    shared.cgroups.close()
    shared.uses.close()
  }
}

export async function failure(work: Promise<unknown>): Promise<StrakeError> {
  try {
    await work
  } catch (error) {
    if (error instanceof StrakeError) return error
    throw error
  }
  throw new Error('it did not fail')
}
