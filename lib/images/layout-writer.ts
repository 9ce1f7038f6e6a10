import { mkdir, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { type ByteStream, type Descriptor, type Digest, failedWith, ownedName, refNameAnnotation, writing } from '../store/index.ts'
import { LayoutDirectory } from './layout.ts'
import { indexMediaType } from './media-types.ts'

/** Writes an OCI image layout that is a directory (image-spec, image-layout.md): a new one, or one that others have written to. */
export class LayoutWriter {
  readonly #path: string
  readonly #added: string[] = []
  /** Directories, the outermost first. */
  readonly #made: string[] = []

  constructor(path: string) {
    this.#path = resolve(path)
  }

  /** Writes a blob, unless it is there. It gets its name when it is whole. */
  async addBlob(digest: Digest, open: () => ByteStream, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw new StrakeError('aborted', 'saving was aborted', { cause: signal.reason })
    const path = join(this.#path, 'blobs', ...digest.split(':'))
    if (await isThere(path)) return
    await this.#makeDirectory(dirname(path))
    await this.#replace(path, (temporary) => writeFile(temporary, open()))
    this.#added.push(path)
  }

  async #makeDirectory(path: string): Promise<void> {
    const first = await writing(() => mkdir(path, { recursive: true }), this.#path)
    if (first === undefined) return
    const made = [path]
    for (let each = path; each !== first && each !== dirname(each); made.unshift(each)) each = dirname(each)
    this.#made.push(...made)
  }

  /** Takes away what has been added to a directory that is no layout yet; in one that is, it may be somebody else's by now. Never rejects. */
  async undo(): Promise<void> {
    if (await isThere(join(this.#path, 'index.json')).catch(() => true)) return
    for (const path of this.#added.splice(0)) await rm(path, { force: true }).catch(() => undefined)
    // One that others have put something into stays.
    for (const path of this.#made.splice(0).reverse()) await rmdir(path).catch(() => undefined)
  }

  /** Adds entries to `index.json`, last of all. A name is taken from whatever had it. */
  async addManifests(manifests: readonly Descriptor[]): Promise<void> {
    const index = join(this.#path, 'index.json')
    const before = (await isThere(index)) ? await new LayoutDirectory(this.#path).manifests() : []
    const names = new Set(manifests.map(nameOf))
    const kept = before.filter((each) =>
      nameOf(each) === undefined ? manifests.every(({ digest }) => digest !== each.digest) : !names.has(nameOf(each)),
    )
    const layout = join(this.#path, 'oci-layout')
    if (!(await isThere(layout))) await this.#replace(layout, (temporary) => writeFile(temporary, '{"imageLayoutVersion":"1.0.0"}'))
    const text = JSON.stringify({ schemaVersion: 2, mediaType: indexMediaType, manifests: [...kept, ...manifests] })
    await this.#replace(index, (temporary) => writeFile(temporary, text))
  }

  async #replace(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
    const temporary = join(this.#path, `.${ownedName()}`)
    await writing(async () => {
      try {
        await write(temporary)
        await rename(temporary, path)
      } finally {
        await rm(temporary, { force: true })
      }
    }, this.#path)
  }
}

function nameOf(descriptor: Descriptor): string | undefined {
  return descriptor.annotations?.[refNameAnnotation]
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return false
    throw error
  }
}
