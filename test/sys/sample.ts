import { type FieldDefinition, type Op, opDefinitions } from '../../lib/sys/index.ts'

const samples: Readonly<Record<FieldDefinition['type'], unknown>> = {
  u32: 0xfedc_ba98,
  u64: 2 ** 52 + 3,
  i32: -7,
  i64: -(2 ** 40),
  str: 'grün',
  path: Buffer.from([0x2f, 0xff, 0xfe]),
  strs: ['', 'one', 'zwö'],
  bytes: Buffer.from([0, 1, 2, 255]),
  u32s: [0, 1, 4_294_967_295],
  fd: 'given',
  out: 'made',
  ops: [{ op: 'getPid' }, { op: 'setSid', tolerate: ['EPERM'] }],
}

/** An op of this name with a value in each of its fields. */
export function sampleOp(name: Op['op']): Op {
  const fields = opDefinitions[name].fields.map((field) => [field.name, samples[field.type]] as const)
  return { op: name, ...Object.fromEntries(fields) } as unknown as Op
}

export const opNames = Object.keys(opDefinitions) as Op['op'][]
