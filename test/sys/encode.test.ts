import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { StrakeError } from '../../lib/errors/index.ts'
import { encodeOps, encodeProgram, errnoNumbers, flags, type Op, opDefinitions, SlotTable } from '../../lib/sys/index.ts'
import { binding } from '../../native/binding.ts'
import { test } from '../support/uvu.ts'
import { opNames, sampleOp } from './sample.ts'

const native = fileURLToPath(new URL('../../native/', import.meta.url))
const table = binding().opTable()

interface Decoded {
  readonly op: string
  readonly index: number
  readonly tolerate: readonly number[]
  readonly values: readonly unknown[]
}

/** Reads a program as the interpreter does, by the field types that the addon was compiled with. */
function decode(bytes: Buffer): Decoded[] {
  const found: Decoded[] = []
  for (let at = 0; at < bytes.length; ) {
    const [op = '', types = ''] = table[bytes.readUInt16LE(at) - 1] ?? []
    const end = at + 16 + bytes.readUInt32LE(at + 12)
    const header = { op, index: bytes.readUInt32LE(at + 8), tolerate: [bytes.readUInt16LE(at + 2), bytes.readUInt16LE(at + 4)] }
    at += 16
    const take = (length: number): Buffer => {
      at += length
      return bytes.subarray(at - length, at)
    }
    const u32 = (): number => take(4).readUInt32LE()
    const text = (): Buffer => {
      const value = take(u32())
      assert.is(take(1)[0], 0, `${op}: a string ends with NUL`)
      return value
    }
    const read: Readonly<Record<string, () => unknown>> = {
      u32,
      i32: () => take(4).readInt32LE(),
      u64: () => take(8).readBigUInt64LE(),
      i64: () => take(8).readBigInt64LE(),
      str: text,
      path: text,
      strs: () => Array.from({ length: u32() }, text),
      bytes: () => take(u32()),
      u32s: () => Array.from({ length: u32() }, u32),
      fd: () => take(4).readInt32LE(),
      out: () => take(4).readInt32LE(),
      ops: () => decode(take(u32())),
    }
    const values = types === '' ? [] : types.split(',').map((type) => read[type]!())
    assert.is(at, end, `${op}: its fields fill its length`)
    found.push({ ...header, values })
  }
  return found
}

function refusal(ops: readonly unknown[]): string {
  try {
    encodeOps(ops as readonly Op[], new SlotTable())
  } catch (error) {
    assert.instance(error, StrakeError)
    assert.ok(error instanceof StrakeError && ['invalid_argument', 'limit_exceeded'].includes(error.code), String(error))
    return error instanceof Error ? error.message : ''
  }
  throw new Error(`it was taken: ${JSON.stringify(ops)}`)
}

test('the ops and their fields are the same in the addon, in TypeScript and in native/ops.json', () => {
  const { ops } = JSON.parse(readFileSync(join(native, 'ops.json'), 'utf8')) as { ops: { op: string; fields: [string, string][] }[] }
  const defined = ops.map(({ op, fields }) => [op, fields.map(([, type]) => type).join(',')])
  assert.equal(table, defined)
  const typed = opNames.map((name) => [name, opDefinitions[name].fields.map(({ type }) => type).join(',')])
  assert.equal(typed, defined)
  assert.equal(
    opNames.map((name) => opDefinitions[name].fields.map((field) => field.name)),
    ops.map(({ fields }) => fields.map(([name]) => name)),
  )
  assert.equal(
    opNames.map((name) => opDefinitions[name].code),
    ops.map((_, index) => index + 1),
  )
})

test('what is derived from native/ops.json is up to date', () => {
  execFileSync(process.execPath, [join(native, 'generate.mjs'), '--check'], { stdio: 'pipe' })
})

test('every op goes over with every field as it was given', () => {
  for (const name of opNames) {
    const slots = new SlotTable()
    slots.give(['first', 'given'])
    const [decoded, ...others] = decode(encodeOps([{ ...sampleOp(name), tolerate: ['ENOENT', 'EPERM'] }], slots))
    assert.is(others.length, 0)
    assert.equal([decoded!.op, decoded!.index, decoded!.tolerate], [name, 0, [errnoNumbers.ENOENT, errnoNumbers.EPERM]])
    const { fields } = opDefinitions[name]
    for (const [at, { type }] of fields.entries()) {
      const value = decoded!.values[at]
      const outs = fields.slice(0, at).filter((field) => field.type === 'out').length
      const expected: Readonly<Record<string, unknown>> = {
        u32: 0xfedc_ba98,
        i32: -7,
        u64: BigInt(2 ** 52 + 3),
        i64: BigInt(-(2 ** 40)),
        str: Buffer.from('grün'),
        path: Buffer.from([0x2f, 0xff, 0xfe]),
        strs: ['', 'one', 'zwö'].map((each) => Buffer.from(each)),
        bytes: Buffer.from([0, 1, 2, 255]),
        u32s: [0, 1, 4_294_967_295],
        fd: 65,
        out: 0,
      }
      if (type === 'ops') {
        const nested = value as Decoded[]
        assert.equal(
          nested.map((each) => [each.op, each.index]),
          [
            ['getPid', 1],
            ['setSid', 2],
          ],
        )
      } else if (type === 'out' && outs > 0) {
        // The same name twice is the same slot.
        assert.is(value, 0)
      } else {
        assert.equal(value, expected[type], `${name}.${fields[at]!.name}`)
      }
    }
  }
})

test('a field left out has its default; cwd is AT_FDCWD; Infinity is every bit', () => {
  const slots = new SlotTable()
  const [mount, mkdir, limit] = decode(
    encodeOps(
      [
        { op: 'mount', target: '/t' },
        { op: 'mkdir', path: '/d', mode: 0o755 },
        { op: 'prlimit', resource: flags.RLIMIT.RLIMIT_NOFILE, soft: 10, hard: Number.POSITIVE_INFINITY },
      ],
      slots,
    ),
  )
  assert.equal(mount!.values, [Buffer.from(''), Buffer.from('/t'), Buffer.from(''), 0n, Buffer.from('')])
  assert.is(mkdir!.values[0], -1)
  assert.equal(limit!.values.slice(1), [10n, 2n ** 64n - 1n])
})

test('prepared ops come first, their slots are known to the others, and numbers go on', () => {
  const prepared: readonly Op[] = [{ op: 'open', path: '/', flags: 0, out: 'root' }]
  for (let time = 0; time < 2; time += 1) {
    const bytes = encodeProgram({ clone: 2 ** 33, prepared, ops: [{ op: 'fchdir', fd: 'root' }] }, ['stdin'])
    assert.is(bytes.readBigUInt64LE(0), 2n ** 33n)
    const [open, fchdir] = decode(bytes.subarray(16))
    assert.is(bytes.readUInt32LE(8), encodeOps(prepared, new SlotTable()).length)
    assert.equal([open!.op, fchdir!.op, fchdir!.index, fchdir!.values], ['open', 'fchdir', 1, [0]])
  }
})

test('an fd given later takes the place of one given before, whose name is then unknown', () => {
  const slots = new SlotTable()
  slots.give(['old'])
  slots.give(['new'])
  assert.is(slots.get('new'), 64)
  assert.throws(() => slots.get('old'), /No earlier op fills the slot 'old'/)
})

test('the op that a layer has most of is encoded like any other', () => {
  const ops = [0, 1].flatMap((bit): Op[] => [
    { ...sampleOp('put'), path: Buffer.from('/a'), begins: bit, mtimeSec: -5 } as Op,
    { ...sampleOp('put'), path: Buffer.alloc(70_000, 'x'), mtimeSec: 2 ** 40 + bit } as Op,
  ])
  const slots = new SlotTable()
  const quick = Buffer.from(encodeOps(ops, slots))
  assert.equal(
    quick,
    encodeOps(
      ops.map((op) => ({ ...op, tolerate: [] })),
      slots,
    ),
  )
  assert.match(refusal([{ ...sampleOp('put'), path: Buffer.from('a\0b') }]), /without NUL/)
})

test('what no interpreter could take is refused by name before it is sent', () => {
  const long = Array.from({ length: 65 }, (_, index): Op => ({ op: 'open', path: '/', flags: 0, out: `o${index}` }))
  const cases: readonly [readonly unknown[], RegExp][] = [
    [[{ op: 'nothing' }], /no op 'nothing'/],
    [[{ op: 'toString' }], /no op 'toString'/],
    [[{ op: 'chdir' }], /'path' of the op 'chdir'/],
    [[{ op: 'chdir', path: 7 }], /must be a string/],
    [[{ op: 'chdir', path: 'a\0b' }], /without NUL/],
    [[{ op: 'umask', mask: '18' }], /whole number/],
    [[{ op: 'umask', mask: 1.5 }], /whole number/],
    [[{ op: 'umask', mask: 2 ** 32 }], /whole number/],
    [[{ op: 'umask', mask: Number.NaN }], /whole number/],
    [[{ op: 'setGroups', gids: [1, 'x'] }], /whole number/],
    [[{ op: 'setGroups', gids: 5 }], /array of numbers/],
    [[{ op: 'fchdir', fd: 3 }], /name of a slot/],
    [[{ op: 'fchdir', fd: 'nobody' }], /slot 'nobody'/],
    [[{ op: 'exec', paths: '/bin/sh', argv: [], env: [] }], /array of strings/],
    [[{ op: 'writeFd', fd: 'cwd', data: 'text' }], /Uint8Array/],
    [[{ op: 'fork', ops: 'none' }], /array of ops/],
    [[{ op: 'setSid', tolerate: ['ENOENT', 'EPERM', 'EIO'] }], /at most two/],
    [[{ op: 'setSid', tolerate: ['ENOTHING'] }], /no error 'ENOTHING'/],
    [long, /64 slots/],
  ]
  for (const [ops, pattern] of cases) assert.match(refusal(ops), pattern)
})

test.run()
