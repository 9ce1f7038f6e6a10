import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { type Digest, isDigest } from './digest.ts'
import { failedWith, replaceFile } from './files.ts'
import type { FileLock } from './lock.ts'
import { ownedName } from './owner.ts'
import { writing } from './store-error.ts'

/** Points to a blob (image-spec, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
  /** Of an index's entries. */
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string }
  readonly artifactType?: string
}

export interface Ref {
  /** undefined for an image that is kept without a name. */
  readonly name: string | undefined
  readonly descriptor: Descriptor
}

/** The annotation of an index entry that holds its name; skopeo, umoci and buildah use it too. */
export const refNameAnnotation = 'org.opencontainers.image.ref.name'

interface Index {
  readonly manifests: readonly Descriptor[]
  readonly rest: Readonly<Record<string, unknown>>
}

/**
 * The names of the store: `index.json` of the image layout (image-spec, image-layout.md). Read without a lock, since it is
 * only ever replaced as a whole; changed under the lock, so that no process's change is lost.
 */
export class Refs {
  readonly #file: string
  readonly #lockPath: string
  readonly #temporary: string
  readonly #lock: FileLock

  constructor(content: string, lockPath: string, temporary: string, lock: FileLock) {
    this.#file = join(content, 'index.json')
    this.#lockPath = lockPath
    this.#temporary = temporary
    this.#lock = lock
  }

  async list(): Promise<Ref[]> {
    return (await this.#read()).manifests.map((descriptor) => ({ name: descriptor.annotations?.[refNameAnnotation], descriptor }))
  }

  async get(name: string): Promise<Descriptor | undefined> {
    return (await this.list()).find((ref) => ref.name === name)?.descriptor
  }

  /** Gives `descriptor` a name, taken from whatever had it; without a name it is kept as it is unless it has one already. */
  async set(name: string | undefined, descriptor: Descriptor): Promise<void> {
    await this.#change((manifests) => {
      const others = manifests.filter((each) => nameOf(each) !== name || (name === undefined && each.digest !== descriptor.digest))
      if (name === undefined && others.some((each) => each.digest === descriptor.digest)) return manifests
      const named = others.filter((each) => each.digest !== descriptor.digest || nameOf(each) !== undefined)
      return [...named, withName(descriptor, name)]
    })
  }

  /** Takes a name away; the image stays, without a name if that was its last. Resolves to what it named. */
  async unset(name: string): Promise<Descriptor | undefined> {
    let removed: Descriptor | undefined
    await this.#change((manifests) => {
      removed = manifests.find((each) => nameOf(each) === name)
      const others = manifests.filter((each) => each !== removed)
      if (removed === undefined || others.some((each) => each.digest === removed?.digest)) return others
      return [...others, withName(removed, undefined)]
    })
    return removed
  }

  /** Removes every entry that points to `digest`; resolves to the names it had. */
  async remove(digest: Digest): Promise<string[]> {
    const names: string[] = []
    await this.#change((manifests) => {
      for (const each of manifests) {
        const name = each.digest === digest ? nameOf(each) : undefined
        if (name !== undefined) names.push(name)
      }
      return manifests.filter((each) => each.digest !== digest)
    })
    return names
  }

  /**
   * Changes several names at once: `edit` gets all entries and answers with those that are to be there, or with the same array when nothing
   * is to change. Nobody sees a part of it.
   */
  async edit(edit: (refs: readonly Ref[]) => readonly Ref[]): Promise<void> {
    await this.#change((manifests) => {
      const refs = manifests.map((descriptor): Ref => ({ name: nameOf(descriptor), descriptor }))
      const edited = edit(refs)
      return edited === refs ? manifests : edited.map(({ name, descriptor }) => withName(descriptor, name))
    })
  }

  async #change(edit: (manifests: readonly Descriptor[]) => readonly Descriptor[]): Promise<void> {
    const release = await this.#lock(this.#lockPath)
    try {
      const { manifests, rest } = await this.#read()
      const edited = edit(manifests)
      if (edited === manifests) return
      const text = formatIndex({ rest, manifests: edited })
      await writing(() => replaceFile(this.#file, text, join(this.#temporary, `${ownedName()}.index`)))
    } finally {
      await release()
    }
  }

  async #read(): Promise<Index> {
    try {
      return parseIndex(await readFile(this.#file, 'utf8'), this.#file)
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return { manifests: [], rest: {} }
      throw error
    }
  }
}

function nameOf(descriptor: Descriptor): string | undefined {
  return descriptor.annotations?.[refNameAnnotation]
}

function withName(descriptor: Descriptor, name: string | undefined): Descriptor {
  const { annotations, ...rest } = descriptor
  const kept = Object.entries(annotations ?? {}).filter(([key]) => key !== refNameAnnotation)
  if (name !== undefined) kept.push([refNameAnnotation, name])
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) }
}

export function formatIndex(index: {
  readonly manifests: readonly Descriptor[]
  readonly rest?: Readonly<Record<string, unknown>>
}): string {
  return JSON.stringify({
    ...index.rest,
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: index.manifests,
  })
}

function parseIndex(text: string, file: string): Index {
  const invalid = (why: string, cause?: unknown): StrakeError =>
    new StrakeError('store_invalid', `${file} ${why}`, {
      hint: 'it is the list of image names; restore it, or move it away to start with an empty one',
      cause,
    })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw invalid('is not JSON', cause)
  }
  if (typeof value !== 'object' || value === null || !('manifests' in value) || !Array.isArray(value.manifests))
    throw invalid('is not an image index')
  const { manifests, ...rest } = value
  return {
    rest,
    manifests: (manifests as unknown[]).map((each) => {
      if (!isDescriptor(each)) throw invalid('has an entry that is not a descriptor')
      return each
    }),
  }
}

function isDescriptor(value: unknown): value is Descriptor {
  if (typeof value !== 'object' || value === null) return false
  const { mediaType, digest, size, annotations } = value as Record<string, unknown>
  return (
    typeof mediaType === 'string' &&
    isDigest(digest) &&
    typeof size === 'number' &&
    (annotations === undefined || (typeof annotations === 'object' && annotations !== null))
  )
}
