import { flags, type Op } from './ops.gen.ts'
import { formatProgram } from './format.ts'

/** What a process is made from: the namespaces it is cloned into, and the ops that it carries out. */
export interface Program {
  /** Flags of clone3(2): CLONE_NEW*. */
  readonly clone: number
  /** Ops that come first and are the same for many programs: a child may have carried them out ahead of time. */
  readonly prepared?: readonly Op[]
  readonly ops: readonly Op[]
}

/**
 * A container (or any process in namespaces) as a short program of system calls. Plain data: iterate it, compare it,
 * `JSON.stringify` it; `String(plan)` prints one op a line.
 */
export class Plan implements Iterable<Op> {
  readonly program: Program

  constructor(program: Program) {
    this.program = program
  }

  /** Flags of clone3(2): CLONE_NEW*. */
  get clone(): number {
    return this.program.clone
  }

  /** Every op in order; those nested in a `fork` are inside it. */
  get ops(): readonly Op[] {
    return [...(this.program.prepared ?? []), ...this.program.ops]
  }

  get length(): number {
    return (this.program.prepared?.length ?? 0) + this.program.ops.length
  }

  [Symbol.iterator](): Iterator<Op> {
    return this.ops[Symbol.iterator]()
  }

  toString(): string {
    return formatProgram({ clone: this.clone, ops: this.ops })
  }

  toJSON(): { clone: number; ops: readonly Op[] } {
    return { clone: this.clone, ops: this.ops }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/** The names of the namespaces that `clone` asks for, as lsns(8) writes them. */
export function namespacesOf(clone: number): string[] {
  const names: readonly [string, number][] = [
    ['user', flags.CLONE.CLONE_NEWUSER],
    ['pid', flags.CLONE.CLONE_NEWPID],
    ['mnt', flags.CLONE.CLONE_NEWNS],
    ['uts', flags.CLONE.CLONE_NEWUTS],
    ['ipc', flags.CLONE.CLONE_NEWIPC],
    ['net', flags.CLONE.CLONE_NEWNET],
    ['cgroup', flags.CLONE.CLONE_NEWCGROUP],
    ['time', flags.CLONE.CLONE_NEWTIME],
  ]
  return names.filter(([, bit]) => (BigInt(clone) & BigInt(bit)) !== 0n).map(([name]) => name)
}
