import { StrakeError } from '../errors/index.ts'
import { type ErrnoName, errnoName } from './errno.ts'
import { flatten, formatOp } from './format.ts'
import { type Op, opDefinitions } from './ops.gen.ts'
import { generalWords, reasons } from './reasons.ts'

const fewFiles = 'Raise the limit of open files: ulimit -n (`await doctor()` tells how for good).'

const largeFiles = 'Raise the limit of file sizes: ulimit -f unlimited (LimitFSIZE= of a systemd unit).'

/** What the kernel meant by `errno` when it refused `op`; `failed` is the op with its fields. */
export function explain(op: Op['op'] | 'clone3', errno: string, failed?: Op): { meaning: string; hint?: string } {
  const special = reasons.find(
    ([ops, code]) => code === errno && (typeof ops === 'string' ? ops === op : op !== 'clone3' && ops.includes(op)),
  )
  if (special) {
    const [, , meaning, given] = special
    const hint = typeof given === 'function' ? failed && given(failed) : given
    return hint === undefined ? { meaning } : { meaning, hint }
  }
  if (op === 'clone3' && errno === 'EPERM')
    return { meaning: 'user namespaces are not allowed here', hint: 'Run `await doctor()`: it tells the command that allows them.' }
  if ((op === 'clone3' || op === 'fork' || op === 'unshare') && errno === 'ENOSPC')
    return {
      meaning: 'the limit of namespaces is reached',
      hint: 'Raise it: sysctl user.max_user_namespaces, or its sibling in /proc/sys/user for the kind; `await doctor()` tells which.',
    }
  if (errno === 'EMFILE') return { meaning: 'too many open files', hint: fewFiles }
  if (errno === 'ENFILE') return { meaning: 'too many open files in the system', hint: 'Raise the limit: sysctl fs.file-max.' }
  if (errno === 'EFBIG') return { meaning: 'the file would be larger than this process may write', hint: largeFiles }
  if (op === 'clone3' && errno === 'EAGAIN') return { meaning: 'the limit of processes is reached' }
  return { meaning: generalWords[errno as ErrnoName] ?? 'the kernel refused' }
}

/** Errors are logged: of a command's variables, which may be secrets, they tell the names only, and of what is written, the length. */
function withoutValues(op: Op): Op {
  if (op.op === 'write' || op.op === 'writeFd') return { ...op, data: new Uint8Array(op.data.length) }
  if (op.op !== 'exec') return op
  const nameOnly = (each: string): string => (each.includes('=') ? `${each.slice(0, each.indexOf('='))}=…` : each)
  return { ...op, env: op.env.map(nameOnly) }
}

/** The fields of an op as whoever prints the error can read them: paths that were given as bytes are text, and what was nested is counted. */
function readable(op: Op): Readonly<Record<string, unknown>> {
  const { fields } = opDefinitions[op.op]
  const isPath = (name: string): boolean => fields.some((field) => field.name === name && field.type === 'path')
  const shown = (name: string, value: unknown): unknown => {
    if (value instanceof Uint8Array) return isPath(name) ? Buffer.from(value).toString('utf8') : `<${value.length} bytes>`
    return name === 'ops' && Array.isArray(value) ? `<${value.length} ops>` : value
  }
  return Object.fromEntries(Object.entries(op).map(([name, value]) => [name, shown(name, value)]))
}

/**
 * The error for an op that failed: names it, its arguments and what errno means there. `index` counts every op of the
 * program in order, those inside a `fork` after it; one that is out of range stands for the clone3(2) before all ops.
 * `kernel_refused`; for a process that has too many files open, or that may not write the helper’s program, `limit_exceeded`, as everywhere.
 */
export function kernelRefused(ops: readonly Op[], index: number, errno: number): StrakeError {
  const name = errnoName(errno)
  let at = 0
  let failed: Op | undefined
  for (const op of flatten(ops)) {
    if (at === index) failed = op
    at += 1
  }
  failed = failed && withoutValues(failed)
  const { meaning, hint } = explain(failed?.op ?? 'clone3', name, failed)
  const what = failed ? formatOp(failed) : 'clone3'
  const short = what.length > 400 ? `${what.slice(0, 400)}…` : what
  // Before all ops stands the file that the helper is copied into: what an op would write is a matter of whoever gave its size.
  const isLimit = name === 'EMFILE' || name === 'ENFILE' || (name === 'EFBIG' && !failed)
  const code = isLimit ? 'limit_exceeded' : 'kernel_refused'
  return new StrakeError(code, `${short}: ${name}, ${meaning}.`, {
    hint,
    details: { op: failed?.op ?? 'clone3', index, errno: name, ...(failed ? { arguments: readable(failed) } : {}) },
  })
}
