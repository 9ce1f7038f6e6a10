/** What a made-up ELF file says to the dynamic linker. */
export interface ElfWish {
  readonly interpreter?: string
  readonly needed?: readonly string[]
  readonly rpath?: string
  readonly runpath?: string
  readonly machine?: number
}

const headerSize = 64
const programHeaderSize = 56
const base = 0x400000n

/** The smallest 64-bit little-endian ELF file that says what `wish` says: no code, just headers, strings and a dynamic section. */
export function makeElf(wish: ElfWish): Buffer {
  const strings: Buffer[] = [Buffer.alloc(1)]
  const string = (text: string): bigint => {
    const at = strings.reduce((sum, each) => sum + each.length, 0)
    strings.push(Buffer.from(`${text}\0`))
    return BigInt(at)
  }
  const interpreter = wish.interpreter === undefined ? undefined : string(wish.interpreter)
  const tags: [bigint, bigint][] = (wish.needed ?? []).map((name) => [1n, string(name)])
  if (wish.rpath !== undefined) tags.push([15n, string(wish.rpath)])
  if (wish.runpath !== undefined) tags.push([29n, string(wish.runpath)])
  const table = Buffer.concat(strings)
  const stringsAt = headerSize + 3 * programHeaderSize
  const dynamicAt = stringsAt + table.length
  tags.push([5n, base + BigInt(stringsAt)], [0n, 0n])
  const dynamic = Buffer.alloc(tags.length * 16)
  for (const [index, [tag, value]] of tags.entries()) {
    dynamic.writeBigUInt64LE(tag, index * 16)
    dynamic.writeBigUInt64LE(value, index * 16 + 8)
  }
  const header = Buffer.alloc(headerSize)
  header.write('\x7fELF\x02\x01\x01', 'latin1')
  header.writeUInt16LE(3, 16)
  header.writeUInt16LE(wish.machine ?? 62, 18)
  header.writeBigUInt64LE(BigInt(headerSize), 32)
  header.writeUInt16LE(programHeaderSize, 54)
  header.writeUInt16LE(3, 56)
  const total = dynamicAt + dynamic.length
  const segment = (type: number, at: number, size: number): Buffer => {
    const bytes = Buffer.alloc(programHeaderSize)
    bytes.writeUInt32LE(type, 0)
    bytes.writeBigUInt64LE(BigInt(at), 8)
    bytes.writeBigUInt64LE(base + BigInt(at), 16)
    bytes.writeBigUInt64LE(BigInt(size), 32)
    return bytes
  }
  const interp =
    interpreter === undefined ? segment(0, 0, 0) : segment(3, stringsAt + Number(interpreter), (wish.interpreter ?? '').length + 1)
  return Buffer.concat([header, segment(1, 0, total), interp, segment(2, dynamicAt, dynamic.length), table, dynamic])
}
