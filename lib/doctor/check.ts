/** What a check found. */
export interface CheckResult {
  readonly ok: boolean
  /** What is so, in a few words. */
  readonly detail: string
  /** The command that mends it, or one sentence. Every result that is not ok has one. */
  readonly fix?: string | undefined
  /** In place of the check's own `needed`, where there is so little of something that containers do not run. */
  readonly needed?: boolean | undefined
}

/** One question to the machine. A room that has some exports an array of them; `run` never rejects for what it looks for. */
export interface Check {
  /** A few words, as in a table's first column. */
  readonly name: string
  /** false: containers run without it too, with less. Default true. */
  readonly needed?: boolean
  run(): CheckResult | Promise<CheckResult>
}

/** A check and what it found. */
export interface CheckReport extends CheckResult {
  readonly name: string
  readonly needed: boolean
}

export function good(detail: string): CheckResult {
  return { ok: true, detail }
}

export function bad(detail: string, fix: string): CheckResult {
  return { ok: false, detail, fix }
}
