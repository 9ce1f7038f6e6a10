/** What the dynamic linker is told by an ELF file; see elf(5). */
export interface ElfFile {
  readonly bits: 32 | 64
  /** e_machine: 62 is x86-64, 183 AArch64. */
  readonly machine: number
  /** PT_INTERP: the dynamic linker's path; absent in libraries and static programs. */
  readonly interpreter?: string
  /** DT_NEEDED: names (or paths) of libraries. */
  readonly needed: readonly string[]
  /** DT_RPATH and DT_RUNPATH, split at `:`, `$ORIGIN` not yet replaced. */
  readonly rpath: readonly string[]
  readonly runpath: readonly string[]
}

const ptLoad = 1
const ptDynamic = 2
const ptInterp = 3
const dtNull = 0n
const dtNeeded = 1n
const dtStrtab = 5n
const dtRpath = 15n
const dtRunpath = 29n

interface Segment {
  readonly type: number
  readonly offset: number
  readonly address: bigint
  readonly size: number
}

/** Reads of one file in its own word size and byte order. Reading past the end throws RangeError, which `parseElf` turns into undefined. */
class Words {
  readonly bytes: Buffer
  readonly is64: boolean
  readonly little: boolean

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.is64 = bytes[4] === 2
    this.little = bytes[5] === 1
  }

  u16(at: number): number {
    return this.little ? this.bytes.readUInt16LE(at) : this.bytes.readUInt16BE(at)
  }

  u32(at: number): number {
    return this.little ? this.bytes.readUInt32LE(at) : this.bytes.readUInt32BE(at)
  }

  /** An address-sized word. */
  word(at: number): bigint {
    if (!this.is64) return BigInt(this.u32(at))
    return this.little ? this.bytes.readBigUInt64LE(at) : this.bytes.readBigUInt64BE(at)
  }

  text(at: number): string {
    const end = this.bytes.indexOf(0, at)
    return this.bytes.toString('latin1', at, end < 0 ? this.bytes.length : end)
  }
}

function segments(words: Words): Segment[] {
  const table = Number(words.word(words.is64 ? 32 : 28))
  const size = words.u16(words.is64 ? 54 : 42)
  const count = words.u16(words.is64 ? 56 : 44)
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * size
    return words.is64
      ? { type: words.u32(at), offset: Number(words.word(at + 8)), address: words.word(at + 16), size: Number(words.word(at + 32)) }
      : { type: words.u32(at), offset: words.u32(at + 4), address: words.word(at + 8), size: words.u32(at + 16) }
  })
}

function dynamicEntries(words: Words, dynamic: Segment): [bigint, bigint][] {
  const width = words.is64 ? 8 : 4
  const entries: [bigint, bigint][] = []
  for (let at = dynamic.offset; at + 2 * width <= dynamic.offset + dynamic.size; at += 2 * width) {
    const tag = words.word(at)
    if (tag === dtNull) break
    entries.push([tag, words.word(at + width)])
  }
  return entries
}

function parse(bytes: Buffer): ElfFile | undefined {
  const words = new Words(bytes)
  const all = segments(words)
  const interp = all.find(({ type }) => type === ptInterp)
  const dynamic = all.find(({ type }) => type === ptDynamic)
  const entries = dynamic ? dynamicEntries(words, dynamic) : []
  const strtab = entries.find(([tag]) => tag === dtStrtab)?.[1] ?? 0n
  const home = all.find(({ type, address, size }) => type === ptLoad && strtab >= address && strtab < address + BigInt(size))
  const strings = home ? home.offset + Number(strtab - home.address) : 0
  const texts = (wanted: bigint): string[] =>
    entries.filter(([tag]) => tag === wanted).map(([, value]) => words.text(strings + Number(value)))
  const paths = (wanted: bigint): string[] =>
    texts(wanted)
      .flatMap((text) => text.split(':'))
      .filter((path) => path !== '')
  return {
    bits: words.is64 ? 64 : 32,
    machine: words.u16(18),
    ...(interp ? { interpreter: words.text(interp.offset) } : {}),
    needed: texts(dtNeeded),
    rpath: paths(dtRpath),
    runpath: paths(dtRunpath),
  }
}

/** What `bytes` asks of the dynamic linker; undefined when it is no ELF file, or a damaged one. */
export function parseElf(bytes: Buffer): ElfFile | undefined {
  if (bytes.length < 52 || bytes.readUInt32BE(0) !== 0x7f454c46) return undefined
  try {
    return parse(bytes)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
