import type { Library } from './library.ts'

/** Something that the compiler has to say against a piece of TypeScript. */
export interface Problem {
  readonly message: string
  /** TypeScript's number for it: 2339 for TS2339. */
  readonly code: number
  /** From 1; 0 where the problem has no place of its own. */
  readonly line: number
  readonly column: number
  /** The file, where it is not the input itself. */
  readonly file?: string
}

/** A top-level `using` or `await using`. */
export interface Held {
  readonly name: string
  readonly async: boolean
}

/** What became of one input of a session. */
export type CompiledInput =
  | { readonly status: 'incomplete' }
  | { readonly status: 'refused'; readonly problems: readonly Problem[] }
  | {
      readonly status: 'ready'
      readonly id: number
      /** JavaScript, the body of an async function: declarations are assignments to the session's scope. */
      readonly body: string
      /** For each line of `body`, the line of the input that it was made of; both from 1. */
      readonly lines: readonly number[]
      /** Names of values that the input declares. */
      readonly names: readonly string[]
      readonly held: readonly Held[]
    }

export interface Candidate {
  readonly name: string
  readonly type: string
}

export interface Completion {
  /** The part of the line that the candidates complete. */
  readonly prefix: string
  readonly candidates: readonly Candidate[]
}

export interface TypeDescription {
  readonly type: string
  readonly documentation: string
}

export type TypeAnswer =
  | { readonly status: 'known'; readonly description: TypeDescription }
  | { readonly status: 'refused'; readonly problems: readonly Problem[] }

/** A script's JavaScript, file by file: what is run once the check is through. */
export interface CompiledScript {
  readonly problems: readonly Problem[]
  readonly outputs: readonly (readonly [path: string, code: string])[]
}

export interface ScriptRequest {
  readonly path: string
  /** The script's text; left out, the file's. */
  readonly code?: string
  /** Export the value of the last expression as `default`, and have Node's own modules in scope (as `node -p` does). */
  readonly inline?: boolean
  readonly print?: boolean
  /** The library's exports, where they need not be looked for: without a check. */
  readonly names?: readonly string[]
}

export interface CompilerOptions {
  readonly cwd: string
  readonly library: Library
  /** Report type errors; without it, types are only stripped. Default true. */
  readonly check: boolean
}

/** What a compiler can be asked, as message and answer. */
export interface Requests {
  input: { ask: { code: string }; answer: CompiledInput }
  /** An input has run: of the names it declares, those to count on from now on. */
  commit: { ask: { id: number; names: readonly string[] }; answer: null }
  complete: { ask: { code: string }; answer: Completion }
  type: { ask: { code: string }; answer: TypeAnswer }
  script: { ask: ScriptRequest; answer: CompiledScript }
  /** Loads what the first input would otherwise wait for. */
  warmUp: { ask: Record<string, never>; answer: null }
}

export type RequestKind = keyof Requests
