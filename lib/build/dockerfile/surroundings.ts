import type { Base, Step } from '../step.ts'
import type { Lookup } from './expansion.ts'
import type { Position } from './position.ts'
import type { Statement } from './statement.ts'

/** What an instruction's meaning depends on beside its words. */
export interface Surroundings {
  /** Values of variables where the instruction stands. May throw `UnknownVariable`. */
  readonly lookup: Lookup
  /** The value that ARG gets from the caller; for one without a default, also that of an ARG before the first FROM. */
  given(name: string, hasDefault: boolean): string | undefined
  /** What `--from` names: a stage, by its name or number, or an image. */
  base(name: string, position: Position): Base
}

/** One instruction as the steps that it stands for; nearly always one. */
export type Translate = (statement: Statement, around: Surroundings) => readonly Step[]

/** A variable of which only the build can tell whether it is set, and to what: the base image's environment decides. */
export class UnknownVariable extends Error {}
