import { namespacesOf } from './namespaces.ts'
import { bitSets, enumSets, type FieldType, type FlagSet, flags, type Op, opDefinitions } from './ops.gen.ts'
import type { Program } from './program.ts'

const longText = 96

/** The flags of `set` in `value`, as C writes them: `MS_NOSUID|MS_NODEV`. */
export function formatFlags(set: FlagSet, value: number): string {
  const names = Object.entries(flags[set]) as [string, number][]
  if (enumSets.includes(set)) return names.find(([, each]) => each === value)?.[0] ?? String(value)
  const isMask = bitSets.includes(set)
  let rest = BigInt(value)
  const found: string[] = []
  for (const [name, each] of names) {
    const bit = isMask ? 1n << BigInt(each) : BigInt(each)
    if (bit !== 0n && (rest & bit) === bit) {
      found.push(name)
      rest &= ~bit
    }
  }
  if (isMask && rest === 0n && found.length === names.length) return 'all'
  if (rest !== 0n) found.push(`0x${rest.toString(16)}`)
  return found.length > 0 ? found.join('|') : '0'
}

/** Permission bits, as chmod(1) has them. */
const octal: ReadonlySet<string> = new Set(['mode', 'mask'])

function formatValue(value: unknown, type: FieldType, set?: FlagSet): string {
  if (typeof value === 'number') return set ? formatFlags(set, value) : String(value)
  if (typeof value === 'string') return JSON.stringify(value.length > longText ? `${value.slice(0, longText)}…` : value)
  if (value instanceof Uint8Array)
    return type === 'path' ? formatValue(Buffer.from(value).toString('utf8'), type) : `<${value.length} bytes>`
  if (Array.isArray(value)) return `[${value.map((each) => formatValue(each, type)).join(', ')}]`
  return String(value)
}

function formatField(op: Op, name: string): unknown {
  return (op as unknown as Record<string, unknown>)[name]
}

function isDefault(value: unknown, fallback: unknown): boolean {
  return value === undefined || value === fallback
}

/** One op on a line: `mount source="proc" target="/proc" type="proc" flags=MS_NOSUID|MS_NOEXEC`. */
export function formatOp(op: Op): string {
  const definition = opDefinitions[op.op]
  const words: string[] = [op.op]
  for (const field of definition.fields) {
    const value = formatField(op, field.name)
    if (field.type === 'ops' || isDefault(value, field.fallback)) continue
    if (octal.has(field.name) && typeof value === 'number') words.push(`${field.name}=0${value.toString(8)}`)
    else
      words.push(
        `${field.name}=${field.type === 'fd' || field.type === 'out' ? String(value) : formatValue(value, field.type, field.flags)}`,
      )
  }
  if (op.tolerate && op.tolerate.length > 0) words.push(`(or ${op.tolerate.join(', ')})`)
  return words.join(' ')
}

/** Every op of a program in the order in which the interpreter numbers them: a nested program follows its own op. */
export function* flatten(ops: readonly Op[]): Generator<Op> {
  for (const op of ops) {
    yield op
    if (op.op === 'fork') yield* flatten(op.ops)
  }
}

function* lines(ops: readonly Op[], indent: string, counter: { next: number }): Generator<string> {
  for (const op of ops) {
    yield `${String(counter.next).padStart(3)}  ${indent}${formatOp(op)}`
    counter.next += 1
    if (op.op === 'fork') yield* lines(op.ops, `${indent}  `, counter)
  }
}

/** A program as text: the namespaces it starts in, then one numbered op a line. */
export function formatProgram(program: Program): string {
  const head = `clone3 ${namespacesOf(program.clone).join(' ') || 'nothing new'}`
  return [head, ...lines(program.ops, '', { next: 0 })].join('\n')
}
