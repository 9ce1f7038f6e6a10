import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StrakeError } from '../errors/index.ts'
import { type Digest, isDigest } from './digest.ts'
import { failedWith, replaceFile } from './files.ts'
import type { FileLock } from './lock.ts'
import { mayHaveOciForm } from './oci-form.ts'
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
  /** Of an image in Docker's format: what `index.json` shows of it, the same image by OCI's media types. */
  readonly ociForm?: Descriptor | undefined
}

/** The annotation of an index entry that holds its name; skopeo, umoci and buildah use it too. */
export const refNameAnnotation = 'org.opencontainers.image.ref.name'

/** That of an entry which shows an image in Docker's format as OCI: what the image is, `MEDIA-TYPE DIGEST SIZE`. */
const originalAnnotation = 'io.strake.docker.manifest'

interface Index {
  readonly manifests: readonly Descriptor[]
  readonly ociForms: ReadonlyMap<Digest, Descriptor>
  readonly rest: Readonly<Record<string, unknown>>
}

/** The OCI forms of images in Docker's format, which programs that read OCI layouts alone find behind their names. */
export interface OciForms {
  /** What is stored stays until this is released. */
  readonly hold: () => Disposable
  readonly has: (digest: Digest) => Promise<boolean>
  /** Stores one; undefined where there is none of it. */
  readonly put: (descriptor: Descriptor) => Promise<Descriptor | undefined>
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
  readonly #ociForms: OciForms | undefined

  constructor(content: string, lockPath: string, temporary: string, lock: FileLock, ociForms?: OciForms) {
    this.#file = join(content, 'index.json')
    this.#lockPath = lockPath
    this.#temporary = temporary
    this.#lock = lock
    this.#ociForms = ociForms
  }

  async list(): Promise<Ref[]> {
    const { manifests, ociForms } = await this.#read()
    return manifests.map((descriptor) => ({ name: nameOf(descriptor), descriptor, ociForm: ociForms.get(descriptor.digest) }))
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

  /** Stores the OCI forms that have gone. */
  async renew(): Promise<void> {
    await this.#change((manifests) => [...manifests])
  }

  async #change(edit: (manifests: readonly Descriptor[]) => readonly Descriptor[]): Promise<void> {
    const release = await this.#lock(this.#lockPath)
    try {
      const { manifests, ociForms, rest } = await this.#read()
      const edited = edit(manifests)
      if (edited === manifests) return
      using _ = this.#ociForms?.hold()
      const forms = await this.#formsOf(edited, ociForms)
      const text = formatIndex({ rest, manifests: edited.map((each) => shown(each, forms.get(each.digest))) })
      await writing(() => replaceFile(this.#file, text, join(this.#temporary, `${ownedName()}.index`)))
    } finally {
      await release()
    }
  }

  async #formsOf(manifests: readonly Descriptor[], known: ReadonlyMap<Digest, Descriptor>): Promise<ReadonlyMap<Digest, Descriptor>> {
    const forms = new Map<Digest, Descriptor>()
    for (const each of manifests) {
      if (!mayHaveOciForm(each) || forms.has(each.digest)) continue
      const before = known.get(each.digest)
      const form = before && (await this.#ociForms?.has(before.digest)) ? before : await this.#ociForms?.put(each)
      if (form) forms.set(each.digest, form)
    }
    return forms
  }

  async #read(): Promise<Index> {
    try {
      return parseIndex(await readFile(this.#file, 'utf8'), this.#file)
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return { manifests: [], ociForms: new Map(), rest: {} }
      throw error
    }
  }
}

function nameOf(descriptor: Descriptor): string | undefined {
  return descriptor.annotations?.[refNameAnnotation]
}

/** The entry of an image as `index.json` has it. */
function shown(descriptor: Descriptor, ociForm: Descriptor | undefined): Descriptor {
  // One that came with the entry of another layout says nothing of this one.
  if (ociForm === undefined) return withAnnotation(descriptor, originalAnnotation, undefined)
  const { mediaType, digest, size, annotations } = descriptor
  return { ...descriptor, ...ociForm, annotations: { ...annotations, [originalAnnotation]: `${mediaType} ${digest} ${size}` } }
}

/** The image that an entry of `index.json` stands for; undefined for one that is what it says. */
function original({ annotations, ...shown }: Descriptor): Descriptor | undefined {
  const { [originalAnnotation]: text = '', ...others } = annotations ?? {}
  const [mediaType = '', digest = '', size = ''] = text.split(' ')
  if (!isDigest(digest) || !/^[0-9]+$/.test(size)) return undefined
  const rest = Object.keys(others).length > 0 ? { annotations: others } : {}
  return { ...shown, mediaType, digest, size: Number(size), ...rest }
}

function withName(descriptor: Descriptor, name: string | undefined): Descriptor {
  return withAnnotation(descriptor, refNameAnnotation, name)
}

function withAnnotation(descriptor: Descriptor, key: string, value: string | undefined): Descriptor {
  const { annotations, ...rest } = descriptor
  const kept = Object.entries(annotations ?? {}).filter(([each]) => each !== key)
  if (value !== undefined) kept.push([key, value])
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
  const ociForms = new Map<Digest, Descriptor>()
  const images = (manifests as unknown[]).map((each) => {
    if (!isDescriptor(each)) throw invalid('has an entry that is not a descriptor')
    const image = original(each)
    if (image) ociForms.set(image.digest, { mediaType: each.mediaType, digest: each.digest, size: each.size })
    return image ?? each
  })
  return { rest, manifests: images, ociForms }
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
