import {
  chmodSync,
  closeSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { StrakeError } from '../../lib/errors/error.ts'
import type { Op } from '../../lib/sys/index.ts'
import type { Agent, OpResult, Reply } from '../../lib/zygote/index.ts'

/**
 * An agent whose root is a plain directory, carried out by node:fs: what the builder asks for can be looked at without a kernel's
 * help. It confines nothing, and leaves owners alone. `log` has every op it was given.
 */
export class DirectoryAgent implements Agent {
  readonly pid = process.pid
  readonly ended = new Promise<void>(() => {})
  readonly log: Op[] = []
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  async run(ops: readonly Op[]): Promise<Reply> {
    const slots = new Map<string, number>()
    const sent: Record<string, number> = {}
    const results: OpResult[] = []
    for (const op of ops) {
      this.log.push(op)
      try {
        results.push(this.#carryOut(op, slots, sent))
      } catch (error) {
        const errno = (error as NodeJS.ErrnoException).code ?? ''
        if (!op.tolerate?.some((each) => each === errno)) throw new StrakeError('kernel_refused', `${op.op}: ${errno}`, { cause: error })
        results.push(new Uint8Array())
      }
    }
    for (const [name, file] of slots) if (!Object.values(sent).includes(file)) throw new Error(`slot ${name} was left open`)
    return { results, fds: sent }
  }

  start(): never {
    throw new Error('this agent starts nothing')
  }

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  #path(path: string | Uint8Array): Buffer {
    return Buffer.concat([Buffer.from(this.#root), Buffer.from(path)])
  }

  #write(path: Buffer, flags: number, data: Uint8Array): void {
    const file = openSync(path, flags, 0o600)
    try {
      writeFileSync(file, data)
    } finally {
      closeSync(file)
    }
  }

  #carryOut(op: Op, slots: Map<string, number>, sent: Record<string, number>): OpResult {
    switch (op.op) {
      case 'stat':
        return record(this.#path(op.path), Buffer.alloc(0))
      case 'readDir': {
        const names = readdirSync(this.#path(op.path), { encoding: 'buffer' })
        return Buffer.concat(names.map((name) => record(Buffer.concat([this.#path(op.path), Buffer.from('/'), name]), name)))
      }
      case 'mkdir':
        mkdirSync(this.#path(op.path), { mode: op.mode })
        return 0
      case 'write':
        this.#write(this.#path(op.path), op.flags, op.data)
        return 0
      case 'open':
        slots.set(op.out, openSync(this.#path(op.path), op.flags, op.mode))
        return 0
      case 'sendFd':
        sent[op.name] = slots.get(op.fd) ?? -1
        return 0
      case 'close':
        if (!Object.values(sent).includes(slots.get(op.fd) ?? -1)) closeSync(slots.get(op.fd) ?? -1)
        return 0
      case 'unlink':
        unlinkSync(this.#path(op.path))
        return 0
      case 'symlink':
        symlinkSync(Buffer.from(op.target), this.#path(op.path))
        return 0
      case 'chmod':
        chmodSync(this.#path(op.path), op.mode)
        return 0
      case 'setTimes':
        lutimesSync(this.#path(op.path), op.atimeSec + op.atimeNsec / 1e9, op.mtimeSec + op.mtimeNsec / 1e9)
        return 0
      case 'chown':
      case 'setXattr':
        return 0
      default:
        throw new Error(`${op.op} is no op of files`)
    }
  }
}

function field(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** One record as `decodeRecords` reads it. */
function record(path: Buffer, name: Buffer): Buffer {
  const stats = lstatSync(path, { bigint: true })
  const head = Buffer.alloc(60)
  for (const [index, value] of [stats.mode, stats.uid, stats.gid, stats.nlink].entries()) head.writeUInt32LE(Number(value), index * 4)
  for (const [index, value] of [stats.size, stats.ino, stats.dev].entries()) head.writeBigUInt64LE(value, 16 + index * 8)
  head.writeBigInt64LE(stats.mtimeNs / 1_000_000_000n, 40)
  head.writeUInt32LE(Number(stats.mtimeNs % 1_000_000_000n), 48)
  const target = stats.isSymbolicLink() ? readlinkSync(path, { encoding: 'buffer' }) : Buffer.alloc(0)
  return Buffer.concat([head, field(name), field(target), Buffer.alloc(4)])
}
