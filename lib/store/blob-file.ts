import { type FileHandle, open } from 'node:fs/promises'
import { failedWith } from './files.ts'

/** The file of a blob, which may still be growing: whoever reads it need not wait for its end. */
export interface BlobFile {
  /** Bytes that are in it by now; they stay as they are. */
  readonly written: number
  /** Whether it has all of its bytes, and they are what they must be. Until then nothing that comes of them may be kept. */
  readonly isWhole: boolean
  /** For reading, wherever the file is by now. */
  open(): Promise<FileHandle>
  /** Resolves when there are more than `than` bytes, or it is whole; rejects with what ended the writing. */
  more(than: number): Promise<void>
}

/** A blob that is there. */
export class WholeBlobFile implements BlobFile {
  readonly isWhole = true
  readonly written: number
  readonly #path: string

  constructor(path: string, size: number) {
    this.#path = path
    this.written = size
  }

  open(): Promise<FileHandle> {
    return open(this.#path, 'r')
  }

  more(): Promise<void> {
    return Promise.resolve()
  }
}

/** A blob that is being written. */
export class GrowingBlobFile implements BlobFile {
  written = 0
  isWhole = false
  readonly #path: string
  #finalPath: string | undefined
  #failure: { readonly error: unknown } | undefined
  #waiting: (() => void)[] = []

  constructor(path: string) {
    this.#path = path
  }

  async open(): Promise<FileHandle> {
    try {
      return await open(this.#path, 'r')
    } catch (error) {
      if (this.#failure) throw this.#failure.error
      if (this.#finalPath === undefined || !failedWith(error, 'ENOENT')) throw error
      return await open(this.#finalPath, 'r')
    }
  }

  async more(than: number): Promise<void> {
    while (this.written <= than && !this.isWhole && !this.#failure) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    }
    if (this.#failure) throw this.#failure.error
  }

  grow(bytes: number): void {
    this.written += bytes
    this.#tell()
  }

  /** Its bytes are the right ones; it will be renamed to `finalPath`. */
  end(finalPath: string): void {
    this.#finalPath = finalPath
    this.isWhole = true
    this.#tell()
  }

  /** It will never be whole. Once it is, this does nothing. */
  fail(error: unknown): void {
    if (this.isWhole) return
    this.#failure ??= { error }
    this.#tell()
  }

  #tell(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
