import { flags, type Op } from './ops.gen.ts'
import { formatProgram } from './format.ts'

/** What a plan is made from: the namespaces its first process is cloned into, and the ops that process carries out. */
export interface Program {
  /** Flags of clone3(2): CLONE_NEW*. */
  readonly clone: number
  readonly ops: readonly Op[]
  /** How many of the leading ops depend on nothing but the library, and so may be carried out ahead of time. */
  readonly prepared?: number
}

/**
 * A container (or any process in namespaces) as a short program of system calls. Plain data: iterate it, compare it,
 * `JSON.stringify` it; `String(plan)` prints one op a line.
 */
export class Plan implements Program, Iterable<Op> {
  readonly clone: number
  readonly ops: readonly Op[]
  readonly prepared: number

  constructor(program: Program) {
    this.clone = program.clone
    this.ops = program.ops
    this.prepared = program.prepared ?? 0
  }

  get length(): number {
    return this.ops.length
  }

  [Symbol.iterator](): Iterator<Op> {
    return this.ops[Symbol.iterator]()
  }

  toString(): string {
    return formatProgram(this)
  }

  toJSON(): Program {
    return { clone: this.clone, ops: this.ops, prepared: this.prepared }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/** The names of the namespaces that `clone` asks for, as lsns(8) writes them. */
export function namespacesOf(clone: number): string[] {
  const names: readonly [string, number][] = [
    ['user', flags.CLONE.CLONE_NEWUSER], ['pid', flags.CLONE.CLONE_NEWPID], ['mnt', flags.CLONE.CLONE_NEWNS],
    ['uts', flags.CLONE.CLONE_NEWUTS], ['ipc', flags.CLONE.CLONE_NEWIPC], ['net', flags.CLONE.CLONE_NEWNET],
    ['cgroup', flags.CLONE.CLONE_NEWCGROUP], ['time', flags.CLONE.CLONE_NEWTIME],
  ]
  return names.filter(([, bit]) => (BigInt(clone) & BigInt(bit)) !== 0n).map(([name]) => name)
}
