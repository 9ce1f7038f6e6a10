import { copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { type Descriptor, type Digest, failedWith, ownedName, refNameAnnotation, writing } from '../store/index.ts'
import { parseLayoutIndex } from './layout.ts'
import { indexMediaType } from './media-types.ts'

/** Writes an OCI image layout that is a directory (image-spec, image-layout.md): a new one, or one that others have written to. */
export class LayoutWriter {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** Copies a blob, unless it is there. It gets its name when it is whole. */
  async addBlob(digest: Digest, source: string, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw new StrakeError('aborted', 'saving was aborted', { cause: signal.reason })
    const path = join(this.#path, 'blobs', ...digest.split(':'))
    if (await isThere(path)) return
    await writing(() => mkdir(dirname(path), { recursive: true }), this.#path)
    await this.#replace(path, (temporary) => copyFile(source, temporary))
  }

  /** Adds entries to `index.json`, last of all. A name is taken from whatever had it. */
  async addManifests(manifests: readonly Descriptor[]): Promise<void> {
    const index = join(this.#path, 'index.json')
    const before = (await isThere(index)) ? parseLayoutIndex(await readFile(index)) : []
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
