import { formatProgram } from './format.ts'
import type { Op } from './ops.gen.ts'
import type { Program } from './program.ts'

/**
 * A container (or any process in namespaces) as a short program of system calls. Plain data: iterate it, compare it,
 * `JSON.stringify` it; `String(plan)` prints one op a line.
 */
export class Plan implements Iterable<Op> {
  /** What an agent is given: clone flags, and ops. */
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
