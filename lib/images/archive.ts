import { StrakeError } from '../errors/index.ts'
import { decompress, type LayerLimits, type TarEntry, walkTar } from '../layers/index.ts'
import { type BlobInfo, type ByteStream, type Descriptor, type Digest, digestOf, isDigest, type Store } from '../store/index.ts'
import { abortable } from './abortable.ts'
import type { ReadOptions } from './import-options.ts'
import type { BlobSource } from './layout.ts'
import { walkedLayer } from './walked.ts'

/** What an image archive held: its small files in memory, the others as blobs of the store. */
export interface Archive extends BlobSource {
  /** A small file by its path in the archive. */
  text(path: string): Buffer | undefined
  /** Any file's blob, links followed. */
  blob(path: string): BlobInfo | undefined
  checkLayer(layer: Pick<Descriptor, 'digest'>): void
}

const smallFile = 4 * 1024 * 1024
const smallFiles = 64 * 1024 * 1024
const mostFiles = 100_000
const mostLinks = 16

/**
 * Reads an image archive (a tar, compressed or not, of an OCI layout or of `docker save`) in one pass: it may come from a pipe, and what its
 * files are for is known only at its end. Rejects with `image_invalid` where it does not even begin as one, and later as `walkTar` does.
 *
 * @param where what it is, for messages
 */
export async function readArchive(store: Store, stream: ByteStream, where: string, { limits, signal }: ReadOptions = {}): Promise<Archive> {
  const reader = new ArchiveReader(store, limits)
  let entries = 0
  try {
    for await (const entry of walkTar(abortable(decompress(stream, limits), signal, 'reading an image'), {
      ...limits,
      entries: mostFiles,
    })) {
      entries += 1
      await reader.add(entry)
    }
  } catch (error) {
    if (entries > 0 || !(error instanceof StrakeError) || error.code !== 'layer_invalid') throw error
    throw new StrakeError('image_invalid', `${where} is no archive of images: it is no tar, compressed or not`, {
      cause: error,
      hint: "an archive is what `docker save`, `podman save` and an image's save() write",
    })
  }
  return reader
}

class ArchiveReader implements Archive {
  readonly #store: Store
  readonly #small = new Map<string, Buffer>()
  readonly #blobs = new Map<string, BlobInfo>()
  readonly #links = new Map<string, string>()
  readonly #byDigest = new Map<Digest, Buffer>()
  /** What is wrong with a file, if it is a layer. */
  readonly #refusals = new Map<Digest, unknown>()
  readonly #limits: Partial<LayerLimits> | undefined
  #smallBytes = 0

  constructor(store: Store, limits: Partial<LayerLimits> | undefined) {
    this.#store = store
    this.#limits = limits
  }

  async add(entry: TarEntry): Promise<void> {
    const path = normal(entry.path.toString())
    if (entry.type === 'symlink') this.#links.set(path, normal(`${path.split('/').slice(0, -1).join('/')}/${entry.linkPath.toString()}`))
    if (entry.type === 'link') this.#links.set(path, normal(entry.linkPath.toString()))
    if (entry.type !== 'file') return
    if (isSmall(path, entry.size)) {
      const pieces: Buffer[] = []
      for await (const { bytes } of entry.pieces()) pieces.push(Buffer.from(bytes))
      this.#smallBytes += entry.size
      if (this.#smallBytes > smallFiles)
        throw new StrakeError('limit_exceeded', 'the archive has too many small files', {
          details: { limit: 'archiveBytes', maximum: smallFiles },
        })
      const bytes = Buffer.concat(pieces)
      this.#small.set(path, bytes)
      for (const algorithm of ['sha256', 'sha512'] as const) this.#byDigest.set(digestOf(bytes, algorithm), bytes)
      return
    }
    const named = /^blobs\/(sha256|sha512)\/([0-9a-f]+)$/.exec(path)
    const digest = `${named?.[1]}:${named?.[2]}`
    const wrong: unknown[] = []
    const content = walkedLayer(contentOf(entry), this.#limits, (error) => wrong.push(error))
    const blob = await this.#store.blobs.put(content, isDigest(digest) ? { digest, size: entry.size } : { size: entry.size })
    if (wrong.length > 0) this.#refusals.set(blob.digest, wrong[0])
    this.#blobs.set(path, blob)
  }

  #resolve(path: string): string {
    let current = path
    for (let each = 0; each < mostLinks; each += 1) {
      const target = this.#links.get(current)
      if (target === undefined) return current
      current = target
    }
    throw new StrakeError('image_invalid', `the links of the archive at ${JSON.stringify(path)} do not end`)
  }

  text(path: string): Buffer | undefined {
    return this.#small.get(this.#resolve(normal(path)))
  }

  blob(path: string): BlobInfo | undefined {
    return this.#blobs.get(this.#resolve(normal(path)))
  }

  checkLayer({ digest }: Pick<Descriptor, 'digest'>): void {
    if (this.#refusals.has(digest)) throw this.#refusals.get(digest)
  }

  async has({ digest }: Descriptor): Promise<boolean> {
    return this.#byDigest.has(digest) || (await this.#store.blobs.has(digest))
  }

  async stream(descriptor: Descriptor): Promise<ByteStream> {
    const { digest } = descriptor
    const small = this.#byDigest.get(digest)
    if (small) return [small]
    if (await this.has(descriptor)) return await this.#store.blobs.stream(digest)
    throw new StrakeError('image_invalid', `the archive lacks the blob ${digest}`, { details: { digest } })
  }
}

async function* contentOf(entry: TarEntry): AsyncGenerator<Buffer> {
  if (entry.regions) throw new StrakeError('image_invalid', 'a file of the archive is sparse')
  for await (const { bytes } of entry.pieces()) yield bytes
}

/** `docker save` of old has `<id>/json` and `VERSION` files that nothing needs. */
function isSmall(path: string, size: number): boolean {
  return (
    size <= smallFile &&
    !path.startsWith('blobs/') &&
    (/\.json$|(?:^|\/)json$/.test(path) || ['oci-layout', 'repositories'].includes(path) || path.endsWith('/VERSION'))
  )
}

/** Nothing is written by these names; what leads out of the archive simply is not in it. */
function normal(path: string): string {
  const parts: string[] = []
  for (const each of path.split('/')) {
    if (each === '..') parts.pop()
    else if (each !== '' && each !== '.') parts.push(each)
  }
  return parts.join('/')
}
