import type { Op } from './ops.gen.ts'

/** What a process is made from: the namespaces it is cloned into, and the ops that it carries out. */
export interface Program {
  /** Flags of clone3(2): CLONE_NEW*. */
  readonly clone: number
  /** Ops that come first and are the same for many programs: a child may have carried them out ahead of time. */
  readonly prepared?: readonly Op[]
  readonly ops: readonly Op[]
}
