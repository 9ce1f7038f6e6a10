import { StrakeError } from '../errors/index.ts'
import type { Agent } from '../zygote/index.ts'
import type { OpWriter } from './batch.ts'

interface Waiting {
  readonly path: Buffer
  readonly name: string
  readonly value: Buffer
  /** Bytes of all xattrs of the file, names included. */
  readonly total: number
}

/** What kernel and file system say of an xattr that they do not keep on such a file (setxattr(2)). */
const notKept: ReadonlySet<string> = new Set(['ENOTSUP', 'EPERM', 'EINVAL', 'ERANGE', 'E2BIG'])
/** Bytes of a file's xattrs that any file system has room for that has room at all: ext4's smallest block. */
const alwaysFits = 1024
const mostWaiting = 1000
const mostBytes = 512 * 1024

/**
 * Sets the xattrs of files that are there by then, many in one request. What this machine cannot keep (a file system without xattrs, or with less
 * room for them than the layer's, an ACL of ids that are not mapped) is told and left out. A file may not be replaced between `add` and `flush`.
 */
export class XattrWriter {
  readonly #agent: Agent
  readonly #writer: OpWriter
  readonly #onLeftOut: (path: Buffer, message: string) => void
  #waiting: Waiting[] = []
  readonly #paths = new Set<string>()
  #bytes = 0

  /** `writer`: what makes the files. */
  constructor(agent: Agent, writer: OpWriter, onLeftOut: (path: Buffer, message: string) => void) {
    this.#agent = agent
    this.#writer = writer
    this.#onLeftOut = onLeftOut
  }

  /** To be flushed before more is added, if `isFull` then. */
  add(path: Buffer, xattrs: ReadonlyMap<string, Buffer>): void {
    if (xattrs.size === 0) return
    const total = [...xattrs].reduce((sum, [name, value]) => sum + name.length + value.length, 0)
    for (const [name, value] of xattrs) this.#waiting.push({ path, name: Buffer.from(name, 'latin1').toString(), value, total })
    this.#paths.add(path.toString('latin1'))
    this.#bytes += total
  }

  get isFull(): boolean {
    return this.#waiting.length >= mostWaiting || this.#bytes >= mostBytes
  }

  /** Whether those of this very path are still to be set. */
  waitsFor(path: Buffer): boolean {
    return this.#paths.size > 0 && this.#paths.has(path.toString('latin1'))
  }

  async flush(): Promise<void> {
    if (this.#waiting.length === 0) return
    await this.#writer.drain()
    const waiting = this.#waiting
    this.#waiting = []
    this.#paths.clear()
    this.#bytes = 0
    for (let done = 0; done < waiting.length; ) done += await this.#set(waiting.slice(done))
  }

  /** Resolves to how many have been dealt with. */
  async #set(waiting: readonly Waiting[]): Promise<number> {
    try {
      await this.#agent.run(waiting.map(({ path, name, value }) => ({ op: 'setXattr', path, name, value })))
      return waiting.length
    } catch (error) {
      const { index, errno } = (error instanceof StrakeError && error.code === 'kernel_refused' && error.details) || {}
      const failed = typeof index === 'number' ? waiting[index] : undefined
      if (typeof index !== 'number' || failed === undefined) throw error
      const { path, name, value, total } = failed
      const reason = String(errno)
      // A disk that is full says the same as a file system that has a block for each file's xattrs.
      if (!notKept.has(reason) && !(reason === 'ENOSPC' && total > alwaysFits)) throw error
      const what = `the xattr ${JSON.stringify(name)} of ${value.length} bytes was left out`
      this.#onLeftOut(path.length > 1 ? path.subarray(1) : path, `${what}: this machine does not keep it on such a file (${reason})`)
      return index + 1
    }
  }
}
