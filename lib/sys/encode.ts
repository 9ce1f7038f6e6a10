import { StrakeError } from '../errors/index.ts'
import { errnoNumbers } from './errno.ts'
import { type FieldDefinition, type Op, opDefinitions, type PutOp } from './ops.gen.ts'
import type { Program } from './program.ts'

const outSlots = 64
const firstGivenSlot = 64
const noSlot = -1

/** Which slot number each name has: ops' `out` names from 0, the fds given along from 64 (native/protocol.h). */
export class SlotTable {
  readonly #numbers = new Map<string, number>([['cwd', noSlot]])
  #made = 0
  #given = 0

  get(name: string): number {
    const number = this.#numbers.get(name)
    if (number !== undefined) return number
    throw new StrakeError('invalid_argument', `No earlier op fills the slot '${name}', and no fd of that name was given.`, {
      details: { slot: name },
    })
  }

  fill(name: string): number {
    const known = this.#numbers.get(name)
    if (known !== undefined && known >= 0) return known
    if (this.#made >= outSlots) throw new StrakeError('limit_exceeded', `A program may fill ${outSlots} slots.`)
    this.#numbers.set(name, this.#made)
    this.#made += 1
    return this.#made - 1
  }

  /** Numbers the fds of one message, in order. */
  give(names: readonly string[]): void {
    this.#given = 0
    // They take the places of those that were given before.
    const end = firstGivenSlot + names.length
    for (const [name, number] of this.#numbers) if (number >= firstGivenSlot && number < end) this.#numbers.delete(name)
    for (const name of names) {
      this.#numbers.set(name, firstGivenSlot + this.#given)
      this.#given += 1
    }
  }
}

/** What most programs need; a larger one lasts for its program only. */
const usualSize = 65_536
let spareBuffer: Buffer | undefined

/** A buffer that grows as it is written. One is used again and again: an allocation for each program costs more than its encoding. */
class Writer {
  buffer = spareBuffer ?? Buffer.allocUnsafeSlow(usualSize)
  length = 0
  #view: DataView | undefined

  constructor() {
    // An encoding that fails, or one inside another, does without.
    spareBuffer = undefined
  }

  /** What was written, until the next encoding. */
  done(): Buffer {
    if (this.buffer.length === usualSize) spareBuffer = this.buffer
    return this.buffer.subarray(0, this.length)
  }

  /** Of the whole buffer, until it grows. */
  view(): DataView {
    if (this.#view?.buffer !== this.buffer.buffer)
      this.#view = new DataView(this.buffer.buffer, this.buffer.byteOffset, this.buffer.byteLength)
    return this.#view
  }

  reserve(size: number): number {
    const at = this.length
    if (at + size > this.buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, at + size))
      this.buffer.copy(larger, 0, 0, at)
      this.buffer = larger
    }
    this.length = at + size
    return at
  }

  u32(value: number): void {
    const at = this.reserve(4)
    this.buffer.writeUInt32LE(value >>> 0, at)
  }

  u64(value: number): void {
    const at = this.reserve(8)
    if (value === Number.POSITIVE_INFINITY) {
      this.buffer.fill(0xff, at, at + 8)
    } else if (value >= 0) {
      this.buffer.writeUInt32LE(value % 0x1_0000_0000, at)
      this.buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4)
    } else {
      this.buffer.writeBigInt64LE(BigInt(value), at)
    }
  }

  bytes(value: Uint8Array): void {
    this.u32(value.length)
    const at = this.reserve(value.length)
    this.buffer.set(value, at)
  }

  text(value: string | Uint8Array): void {
    const size = typeof value === 'string' ? Buffer.byteLength(value) : value.length
    this.u32(size)
    const at = this.reserve(size + 1)
    if (typeof value === 'string') this.buffer.write(value, at)
    else this.buffer.set(value, at)
    this.buffer[at + size] = 0
  }
}

function refuse(op: Op, field: FieldDefinition, expected: string): never {
  throw new StrakeError('invalid_argument', `The field '${field.name}' of the op '${op.op}' must be ${expected}.`, {
    details: { op, field: field.name },
  })
}

function holdsNul(value: string | Uint8Array): boolean {
  return typeof value === 'string' ? value.includes('\0') : value.includes(0)
}

function writeText(writer: Writer, op: Op, field: FieldDefinition, value: unknown): void {
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) refuse(op, field, 'a string')
  if (holdsNul(value)) refuse(op, field, 'a string without NUL characters')
  writer.text(value)
}

/** -1 stands for `unchanged` in many calls whose argument has no sign. */
const ranges = {
  u32: [-1, 0xffff_ffff],
  i32: [-0x8000_0000, 0x7fff_ffff],
  u64: [-1, Number.POSITIVE_INFINITY],
  i64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
} as const

function writeNumber(writer: Writer, op: Op, field: FieldDefinition, value: unknown): void {
  const [lowest, most] = ranges[field.type as keyof typeof ranges]
  // A set of flags has no sign, and nothing that stands for unchanged.
  const least = field.flags === undefined ? lowest : 0
  // Infinity is all bits of a u64: no limit.
  const isWhole = Number.isInteger(value) || (value === Number.POSITIVE_INFINITY && field.type === 'u64')
  if (typeof value !== 'number' || !isWhole || value < least || value > most) {
    refuse(op, field, field.type === 'u64' ? `a whole number from ${least} up, or Infinity` : `a whole number from ${least} to ${most}`)
  }
  if (field.type === 'u64' || field.type === 'i64') writer.u64(value)
  else writer.u32(value)
}

function toleratedBy(op: Op): readonly [number, number] {
  const names = op.tolerate ?? []
  if (names.length > 2) throw new StrakeError('invalid_argument', `The op '${op.op}' tolerates at most two errors.`, { details: { op } })
  const [first = 0, second = 0] = names.map((name) => {
    const number = errnoNumbers[name]
    if (number === undefined)
      throw new StrakeError('invalid_argument', `There is no error '${String(name)}' to tolerate.`, { details: { op } })
    return number
  })
  return [first, second]
}

function setInt64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 0x1_0000_0000, true)
  view.setInt32(at + 4, Math.floor(value / 0x1_0000_0000), true)
}

class Encoder {
  readonly writer = new Writer()
  readonly slots: SlotTable
  index: number

  constructor(slots: SlotTable, index: number) {
    this.slots = slots
    this.index = index
  }

  ops(ops: readonly Op[]): void {
    for (const op of ops) this.op(op)
  }

  op(op: Op): void {
    // A layer has tens of thousands of them, which are made in one place.
    if (op.op === 'put' && op.tolerate === undefined && op.path instanceof Uint8Array) {
      this.put(op, op.path)
      return
    }
    const definition = Object.hasOwn(opDefinitions, op.op) ? opDefinitions[op.op] : undefined
    if (definition === undefined) throw new StrakeError('invalid_argument', `There is no op '${String(op.op)}'.`, { details: { op } })
    const { writer } = this
    const head = writer.reserve(16)
    writer.buffer.writeUInt16LE(definition.code, head)
    const [first, second] = toleratedBy(op)
    writer.buffer.writeUInt16LE(first, head + 2)
    writer.buffer.writeUInt16LE(second, head + 4)
    writer.buffer.writeUInt16LE(0, head + 6)
    writer.buffer.writeUInt32LE(this.index, head + 8)
    this.index += 1
    const values = op as unknown as Readonly<Record<string, unknown>>
    for (const field of definition.fields) this.field(op, field, values[field.name] ?? field.fallback)
    writer.buffer.writeUInt32LE(writer.length - head - 16, head + 12)
  }

  /** As any other op is encoded, without looking at its definition: the test compares. */
  put(op: PutOp, path: Uint8Array): void {
    if (path.includes(0)) refuse(op, { name: 'path', type: 'path' }, 'a string without NUL characters')
    const { writer } = this
    const length = 4 + path.length + 1 + 60
    const head = writer.reserve(16 + length)
    const view = writer.view()
    view.setUint16(head, opDefinitions.put.code, true)
    view.setUint16(head + 2, 0, true)
    view.setUint32(head + 4, 0, true)
    view.setUint32(head + 8, this.index, true)
    view.setUint32(head + 12, length, true)
    this.index += 1
    view.setUint32(head + 16, path.length, true)
    writer.buffer.set(path, head + 20)
    const rest = head + 20 + path.length
    writer.buffer[rest] = 0
    view.setUint32(rest + 1, op.begins, true)
    view.setUint32(rest + 5, op.ends, true)
    setInt64(view, rest + 9, op.at)
    setInt64(view, rest + 17, op.offset)
    view.setUint32(rest + 25, op.length, true)
    setInt64(view, rest + 29, op.size)
    view.setUint32(rest + 37, op.mode, true)
    view.setUint32(rest + 41, op.uid, true)
    view.setUint32(rest + 45, op.gid, true)
    setInt64(view, rest + 49, op.mtimeSec)
    view.setUint32(rest + 57, op.mtimeNsec, true)
  }

  field(op: Op, field: FieldDefinition, value: unknown): void {
    const { writer } = this
    switch (field.type) {
      case 'str':
      case 'path':
        writeText(writer, op, field, value)
        return
      case 'strs':
        if (!Array.isArray(value)) refuse(op, field, 'an array of strings')
        writer.u32(value.length)
        for (const each of value) writeText(writer, op, field, each)
        return
      case 'bytes':
        if (!(value instanceof Uint8Array)) refuse(op, field, 'a Uint8Array')
        writer.bytes(value)
        return
      case 'u32s':
        if (!Array.isArray(value)) refuse(op, field, 'an array of numbers')
        writer.u32(value.length)
        for (const each of value) writeNumber(writer, op, { ...field, type: 'u32' }, each)
        return
      case 'fd':
      case 'out':
        if (typeof value !== 'string') refuse(op, field, 'the name of a slot')
        writer.u32(field.type === 'fd' ? this.slots.get(value) : this.slots.fill(value))
        return
      case 'ops': {
        if (!Array.isArray(value)) refuse(op, field, 'an array of ops')
        const at = writer.reserve(4)
        this.ops(value as readonly Op[])
        writer.buffer.writeUInt32LE(writer.length - at - 4, at)
        return
      }
      default:
        writeNumber(writer, op, field, value)
    }
  }

  done(): Buffer {
    return this.writer.done()
  }
}

/** Encodes ops as the interpreter reads them (native/protocol.h). The bytes hold until the next encoding. Throws `invalid_argument`. */
export function encodeOps(ops: readonly Op[], slots: SlotTable): Buffer {
  const encoder = new Encoder(slots, 0)
  encoder.ops(ops)
  return encoder.done()
}

interface EncodedPrefix {
  readonly bytes: Buffer
  readonly names: readonly string[]
  readonly count: number
}

const prefixes = new WeakMap<readonly Op[], EncodedPrefix>()

function filledNames(ops: readonly Op[]): string[] {
  const names: string[] = []
  for (const op of ops) {
    const values = op as unknown as Readonly<Record<string, unknown>>
    for (const field of opDefinitions[op.op].fields) if (field.type === 'out') names.push(String(values[field.name]))
    if (op.op === 'fork') names.push(...filledNames(op.ops))
  }
  return names
}

/** Prepared ops are shared by many programs: each list is encoded once. */
function encodePrefix(ops: readonly Op[]): EncodedPrefix {
  const known = prefixes.get(ops)
  if (known) return known
  const encoder = new Encoder(new SlotTable(), 0)
  encoder.ops(ops)
  const made = { bytes: Buffer.from(encoder.done()), names: filledNames(ops), count: encoder.index }
  prefixes.set(ops, made)
  return made
}

/**
 * Encodes a program with its header: clone flags, and how many bytes of its ops are prepared ones. The bytes hold until the next encoding.
 * Throws `invalid_argument`.
 */
export function encodeProgram(program: Program, given: readonly string[]): Buffer {
  const slots = new SlotTable()
  const prefix = program.prepared && program.prepared.length > 0 ? encodePrefix(program.prepared) : undefined
  for (const name of prefix?.names ?? []) slots.fill(name)
  slots.give(given)
  const encoder = new Encoder(slots, prefix?.count ?? 0)
  const { writer } = encoder
  writer.u64(program.clone)
  writer.u32(prefix?.bytes.length ?? 0)
  writer.u32(0)
  if (prefix) writer.buffer.set(prefix.bytes, writer.reserve(prefix.bytes.length))
  encoder.ops(program.ops)
  return encoder.done()
}
