import { decodeRecords, type FileRecord, type Op } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import { type ByteString, fromByteString } from './names.ts'

export interface Listed {
  readonly name: ByteString
  readonly record: FileRecord
}

/** What is in a directory, by the bytes of the names, in parts: of a large directory no more than its names are held. */
export interface Listing {
  /** Undefined after the last one. */
  next(): Promise<Listed[] | undefined>
}

/** Bytes of records up to which a directory comes in one part; some 100 a file. */
const largestWhole = 256 * 1024
const entriesAtOnce = 1000

/** Reads directories of an agent's root by one request. */
export async function listDirectories(agent: Agent, paths: readonly ByteString[]): Promise<Listing[]> {
  const { results } = await agent.run(paths.map((path): Op => ({ op: 'listDir', path: fromByteString(`/${path}`), most: largestWhole })))
  return paths.map((path, index) => {
    const result = results[index]
    const bytes = result instanceof Uint8Array ? Buffer.from(result.buffer, result.byteOffset, result.byteLength) : Buffer.alloc(0)
    // No file has the mode 0.
    return bytes.length >= 4 && bytes.readUInt32LE(0) === 0
      ? new LargeListing(new NameList(bytes.subarray(4)), (names) => lookAt(agent, path, names))
      : new WholeListing(bytes)
  })
}

async function lookAt(agent: Agent, directory: ByteString, names: readonly ByteString[]): Promise<Listed[]> {
  const start = directory === '' ? '/' : `/${directory}/`
  const { results } = await agent.run(names.map((name): Op => ({ op: 'stat', path: fromByteString(`${start}${name}`) })))
  return names.flatMap((name, index) => {
    const result = results[index]
    const [record] = result instanceof Uint8Array ? decodeRecords(result) : []
    return record ? [{ name, record }] : []
  })
}

/** Stays bytes, which are a tenth of what the objects are, until its turn comes. */
class WholeListing implements Listing {
  #bytes: Buffer | undefined

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  async next(): Promise<Listed[] | undefined> {
    if (this.#bytes === undefined) return undefined
    const records = decodeRecords(this.#bytes)
    this.#bytes = undefined
    return records
      .map((record) => ({ name: record.name.toString('latin1'), record }))
      .sort((one, other) => (one.name < other.name ? -1 : 1))
  }
}

/** Looks at the files of the part that comes next while those before are worked on. */
class LargeListing implements Listing {
  readonly #names: NameList
  readonly #look: (names: readonly ByteString[]) => Promise<Listed[]>
  #at = 0
  #ahead: Promise<Listed[]> | undefined

  constructor(names: NameList, look: (names: readonly ByteString[]) => Promise<Listed[]>) {
    this.#names = names
    this.#look = look
  }

  async next(): Promise<Listed[] | undefined> {
    const part = this.#ahead ?? this.#start()
    this.#ahead = part && this.#start()
    return await part
  }

  #start(): Promise<Listed[]> | undefined {
    if (this.#at >= this.#names.count) return undefined
    const part = this.#look(this.#names.slice(this.#at, this.#at + entriesAtOnce))
    // Whoever waits for it learns of a failure; until then nobody may.
    part.catch(() => undefined)
    this.#at += entriesAtOnce
    return part
  }
}

/** Names, each followed by a NUL, and where they begin, in their order: four bytes for each beside it. */
class NameList {
  readonly #bytes: Buffer
  readonly #starts: Uint32Array

  constructor(bytes: Buffer) {
    let count = 0
    for (let at = bytes.indexOf(0); at >= 0; at = bytes.indexOf(0, at + 1)) count += 1
    const starts = new Uint32Array(count)
    let start = 0
    for (let index = 0; index < count; index += 1) {
      starts[index] = start
      start = bytes.indexOf(0, start) + 1
    }
    this.#bytes = bytes
    this.#starts = starts.sort((one, other) => order(bytes, one, other))
  }

  get count(): number {
    return this.#starts.length
  }

  slice(from: number, to: number): ByteString[] {
    return Array.from(this.#starts.subarray(from, to), (start) => this.#bytes.toString('latin1', start, this.#bytes.indexOf(0, start)))
  }
}

/** The NUL comes before any byte that a name has. */
function order(bytes: Buffer, one: number, other: number): number {
  for (let at = 0; ; at += 1) {
    const left = bytes[one + at] ?? 0
    const right = bytes[other + at] ?? 0
    if (left !== right) return left - right
    if (left === 0) return 0
  }
}
