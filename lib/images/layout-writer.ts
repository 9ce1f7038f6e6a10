import { createHash } from 'node:crypto'
import type { Stats } from 'node:fs'
import { mkdir, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import {
  algorithmOf,
  type ByteStream,
  type Descriptor,
  type Digest,
  failedWith,
  hexOf,
  ownedName,
  refNameAnnotation,
  type Store,
  writing,
} from '../store/index.ts'
import { abortable } from './abortable.ts'
import { LayoutDirectory } from './layout.ts'
import { lockLayout } from './layout-lock.ts'
import { sweepLeftovers } from './leftovers.ts'
import { indexMediaType } from './media-types.ts'

/**
 * Writes an OCI image layout that is a directory (image-spec, image-layout.md): a new one, or one that others have written to. Saves into one layout come
 * one after the other. Where it fails a new layout is not there, and one that was there lists what it did.
 */
export async function writeLayout(
  store: Store,
  path: string,
  signal: AbortSignal | undefined,
  work: (layout: LayoutWriter) => Promise<void>,
): Promise<void> {
  const layout = new LayoutWriter(resolve(path), signal)
  const { release, isOfAll } = await lockLayout(store, resolve(path), () => layout.make(), signal)
  try {
    await layout.look()
    if (isOfAll) await sweepLeftovers(resolve(path), '.')
    await work(layout)
  } catch (error) {
    await layout.undo()
    throw error
  } finally {
    await release()
  }
}

class LayoutWriter {
  readonly #path: string
  readonly #signal: AbortSignal | undefined
  readonly #added: string[] = []
  /** Directories, the outermost first. */
  readonly #made: string[] = []

  constructor(path: string, signal: AbortSignal | undefined) {
    this.#path = path
    this.#signal = signal
  }

  async make(): Promise<void> {
    try {
      await this.#makeDirectory(this.#path)
    } catch (cause) {
      if (cause instanceof StrakeError || !(cause instanceof Error && 'code' in cause)) throw cause
      throw new StrakeError('invalid_argument', `${this.#path} cannot be written`, { cause })
    }
  }

  /** Refuses a layout that is none, before anything is written. */
  async look(): Promise<void> {
    if (await this.#isLayout()) await new LayoutDirectory(this.#path).index()
  }

  async #isLayout(): Promise<boolean> {
    return await isThere(join(this.#path, 'index.json'))
  }

  /** Writes a blob, unless it is there as it should be. It gets its name when it is whole. */
  async addBlob(digest: Digest, size: number, open: () => ByteStream): Promise<void> {
    const path = join(this.#path, 'blobs', ...digest.split(':'))
    if (await this.#hasSound({ mediaType: '', digest, size })) return
    const found = await statsOf(path)
    if (found && !found.isFile())
      throw new StrakeError('image_invalid', `the layout ${this.#path} has something else where the blob ${digest} should be`, {
        hint: `take ${path} away`,
        details: { digest },
      })
    await this.#makeDirectory(dirname(path))
    await this.#replace(path, (temporary) => writeFile(temporary, abortable(open(), this.#signal, 'saving')))
    if (!found) this.#added.push(path)
  }

  /** Whether a blob is there, and has its digest. */
  async #hasSound(blob: Descriptor): Promise<boolean> {
    const layout = new LayoutDirectory(this.#path)
    if ((await layout.size(blob)) !== blob.size) return false
    const hash = createHash(algorithmOf(blob.digest))
    for await (const piece of abortable(await layout.stream(blob), this.#signal, 'saving')) hash.update(piece)
    return hash.digest('hex') === hexOf(blob.digest)
  }

  async #makeDirectory(path: string): Promise<void> {
    const first = await writing(() => mkdir(path, { recursive: true }), this.#path)
    if (first === undefined) return
    const made = [path]
    for (let each = path; each !== first && each !== dirname(each); made.unshift(each)) each = dirname(each)
    this.#made.push(...made)
  }

  /** Takes away what has been added to a directory that is no layout yet; in one that is, other programs may use it by now. Never rejects. */
  async undo(): Promise<void> {
    if (await this.#isLayout().catch(() => true)) return
    for (const path of this.#added.splice(0)) await rm(path, { force: true }).catch(() => undefined)
    // One that others have put something into stays.
    for (const path of this.#made.splice(0).reverse()) await rmdir(path).catch(() => undefined)
  }

  /** Adds entries to `index.json`, last of all. A name is taken from whatever had it; what else others have written there stays. */
  async addManifests(manifests: readonly Descriptor[]): Promise<void> {
    const before = (await this.#isLayout()) ? await new LayoutDirectory(this.#path).index() : { manifests: [], written: { manifests: [] } }
    const { manifests: entries, ...others } = before.written
    const names = new Set(manifests.map(nameOf))
    const isKept = (each: Descriptor): boolean =>
      nameOf(each) === undefined ? manifests.every(({ digest }) => digest !== each.digest) : !names.has(nameOf(each))
    const kept = entries.filter((_, at) => isKept(before.manifests[at] as Descriptor))
    const layout = join(this.#path, 'oci-layout')
    if (!(await isThere(layout))) {
      this.#added.push(layout)
      await this.#replace(layout, (temporary) => writeFile(temporary, '{"imageLayoutVersion":"1.0.0"}'))
    }
    const text = JSON.stringify({ schemaVersion: 2, mediaType: indexMediaType, ...others, manifests: [...kept, ...manifests] })
    await this.#replace(join(this.#path, 'index.json'), (temporary) => writeFile(temporary, text))
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
  return (await statsOf(path)) !== undefined
}

async function statsOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return undefined
    throw error
  }
}
