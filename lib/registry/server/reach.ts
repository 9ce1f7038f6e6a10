import { StrakeError } from '../../errors/index.ts'
import { kindOf, largestManifest } from '../../images/index.ts'
import type { Descriptor, Digest, Store } from '../../store/index.ts'
import type { Shelf } from './catalog.ts'
import { type Form, parseForm } from './form.ts'

/** A manifest of a repository, and how one comes to it. */
export interface ReachedManifest {
  readonly descriptor: Descriptor
  readonly form: Form
  /** An index that it is part of. */
  readonly parent: Digest | undefined
}

/** All that the manifests of a repository lead to. */
export interface Reach {
  readonly manifests: ReadonlyMap<Digest, ReachedManifest>
  /** Configs and layers, with a manifest that names them. */
  readonly blobs: ReadonlyMap<Digest, Digest>
}

/** So many manifests are remembered, parsed; the oldest are forgotten. */
const mostForms = 10_000

/** Works out what is in a repository, from its manifests down. */
export class Reaches {
  readonly #store: Store
  readonly #forms = new Map<Digest, Form>()
  readonly #known = new WeakMap<Shelf, Promise<Reach>>()

  constructor(store: Store) {
    this.#store = store
  }

  of(shelf: Shelf): Promise<Reach> {
    const known = this.#known.get(shelf) ?? this.#walk(shelf)
    this.#known.set(shelf, known)
    known.catch(() => this.#known.delete(shelf))
    return known
  }

  async #walk(shelf: Shelf): Promise<Reach> {
    const manifests = new Map<Digest, ReachedManifest>()
    const blobs = new Map<Digest, Digest>()
    const queue = [...shelf.manifests.values()].map((descriptor) => ({ descriptor, parent: undefined as Digest | undefined }))
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { descriptor, parent } = next
      const seen = manifests.get(descriptor.digest)
      if (seen) {
        if (parent !== undefined && seen.parent === undefined) manifests.set(descriptor.digest, { ...seen, parent })
        continue
      }
      const form = await this.#form(descriptor)
      if (form === undefined) {
        // An index may list other things than manifests (a build cache does).
        if (parent !== undefined) blobs.set(descriptor.digest, parent)
        continue
      }
      manifests.set(descriptor.digest, { descriptor, form, parent })
      for (const each of form.blobs) blobs.set(each.digest, descriptor.digest)
      for (const each of form.manifests) queue.push({ descriptor: each, parent: descriptor.digest })
    }
    return { manifests, blobs }
  }

  /** undefined for what is no manifest, or is not there. */
  async #form(descriptor: Descriptor): Promise<Form | undefined> {
    const kind = kindOf(descriptor.mediaType)
    if (kind !== 'manifest' && kind !== 'index') return undefined
    const known = this.#forms.get(descriptor.digest)
    if (known?.kind === kind) return known
    try {
      const form = parseForm(await this.#store.blobs.read(descriptor.digest, largestManifest), descriptor.mediaType)
      this.#remember(descriptor.digest, form)
      return form
    } catch (error) {
      if (error instanceof StrakeError) return undefined
      throw error
    }
  }

  #remember(digest: Digest, form: Form): void {
    this.#forms.set(digest, form)
    const [oldest] = this.#forms.keys()
    if (this.#forms.size > mostForms && oldest !== undefined) this.#forms.delete(oldest)
  }
}
