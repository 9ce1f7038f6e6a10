// Compiled, never run: an op is a discriminated union, and a plan is data that is only read.
import { type MountOp, type Op, Plan, type Program } from '../../lib/sys/index.ts'
import { assert, type Equal } from './equal.ts'

const plan = new Plan({ clone: 0, ops: [{ op: 'setHostname', name: 'box' }] })

assert<Equal<typeof plan.ops, readonly Op[]>>()
assert<Equal<ConstructorParameters<typeof Plan>, [program: Program]>>()
for (const op of plan) assert<Equal<typeof op, Op>>()

const mount: Op = { op: 'mount', source: 'proc', target: '/proc', type: 'proc', tolerate: ['EPERM'] }
assert<Equal<Extract<Op, { op: 'mount' }>, MountOp>>()

/** `op` alone tells the fields. */
export function targetOf(op: Op): string | undefined {
  if (op.op === 'mount') {
    assert<Equal<typeof op, MountOp>>()
    return op.target
  }
  return undefined
}

// @ts-expect-error An op that nobody knows.
export const unknown: Op = { op: 'format', target: '/' }

// @ts-expect-error A field is missing.
export const incomplete: Op = { op: 'mount' }

// @ts-expect-error A field of another op.
export const foreign: Op = { op: 'setHostname', name: 'x', target: '/' }

// @ts-expect-error An errno that Linux does not have.
export const tolerant: Op = { op: 'mount', target: '/', tolerate: ['ENOSUCH'] }

// @ts-expect-error Ops are not changed in place.
plan.ops.push(mount)

// @ts-expect-error Nor are the namespaces.
plan.clone = 1
