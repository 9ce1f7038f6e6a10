import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** What buildah says of an image, as docker would have it. */
export interface BuildahImage {
  readonly config: Readonly<Record<string, unknown>>
  readonly author?: string
}

/** buildah on storage of its own, in a mount namespace that ends with each of its processes. */
export interface Buildah {
  /** Builds a directory's Dockerfile; rejects with what buildah said. */
  build(directory: string, tag: string, options?: { args?: object | undefined; target?: string | undefined }): Promise<BuildahImage>
}

/** By root only. */
export function buildahOn(directory: string): Buildah {
  const storage = ['--root', join(directory, 's'), '--runroot', join(directory, 'r'), '--storage-driver', 'vfs']
  const env = { ...process.env, HOME: directory, XDG_RUNTIME_DIR: directory, TMPDIR: directory }
  const buildah = async (...args: string[]): Promise<string> =>
    (await execute('unshare', ['--mount', 'buildah', ...storage, ...args], { env, maxBuffer: 1 << 26 })).stdout
  return {
    async build(context, tag, { args = {}, target } = {}) {
      const given = Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`])
      const wanted = target === undefined ? [] : ['--target', target]
      const plain = ['--quiet', '--network', 'none', '--format', 'docker', '--identity-label=false']
      await buildah('bud', ...plain, ...given, ...wanted, '--tag', tag, context)
      const { Docker } = JSON.parse(await buildah('inspect', '--type', 'image', tag))
      return Docker
    },
  }
}
