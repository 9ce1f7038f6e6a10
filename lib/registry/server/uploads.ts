import type { Store } from '../../store/index.ts'
import { Refusal } from './refusal.ts'
import type { Repository } from './repository.ts'
import { Upload } from './upload.ts'

export interface UploadLimits {
  /** How many may be under way. */
  readonly count: number
  /** Milliseconds after which one that nothing came for is given up. */
  readonly timeout: number
}

/** The uploads under way. They live as long as the server: a client whose upload is gone starts again. */
export class Uploads {
  readonly #store: Store
  readonly #limits: UploadLimits
  readonly #uploads = new Map<string, Upload>()
  readonly #busy = new Set<Upload>()
  #starting = 0
  readonly #timer: NodeJS.Timeout

  constructor(store: Store, limits: UploadLimits) {
    this.#store = store
    this.#limits = limits
    this.#timer = setInterval(() => void this.#giveUp(), Math.max(50, Math.min(limits.timeout / 2, 30_000))).unref()
  }

  async start(repository: Repository): Promise<Upload> {
    if (this.#uploads.size + this.#starting >= this.#limits.count) {
      throw new Refusal(429, 'TOOMANYREQUESTS', `${this.#limits.count} uploads are under way`, { headers: { 'Retry-After': '5' } })
    }
    this.#starting += 1
    try {
      const upload = await Upload.start(this.#store, repository)
      this.#uploads.set(upload.id, upload)
      return upload
    } finally {
      this.#starting -= 1
    }
  }

  /** Works with an upload while nobody else does: two requests that write into one would make neither's blob. */
  async use<T>(id: string, repository: Repository, work: (upload: Upload) => Promise<T>): Promise<T> {
    const upload = this.find(id, repository)
    if (this.#busy.has(upload)) throw new Refusal(409, 'BLOB_UPLOAD_INVALID', 'another request is working on this upload')
    this.#busy.add(upload)
    try {
      return await work(upload)
    } finally {
      upload.touched = Date.now()
      this.#busy.delete(upload)
    }
  }

  find(id: string, repository: Repository): Upload {
    const upload = this.#uploads.get(id)
    if (upload?.repository === repository) return upload
    throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload; it may have been given up')
  }

  async discard(upload: Upload): Promise<void> {
    this.#uploads.delete(upload.id)
    await upload.discard()
  }

  async #giveUp(): Promise<void> {
    const oldest = Date.now() - this.#limits.timeout
    for (const upload of this.#uploads.values()) {
      if (upload.touched < oldest && !this.#busy.has(upload)) await this.discard(upload)
    }
  }

  /** After the connections have ended. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    for (const upload of this.#uploads.values()) await this.discard(upload)
  }
}
