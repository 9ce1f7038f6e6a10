export interface TestFile {
  readonly path: string
  readonly alone: boolean
  /** How long it may take. */
  readonly seconds: number
}

export interface TestResult {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** The reasons of `skip()`. */
  readonly skips: readonly string[]
  /** The names of the tests that are for another kind of user. */
  readonly elsewhere: readonly string[]
  readonly text: string
  /** Why it failed, where its output may not say so: how it ended, and what was not run. */
  readonly why: string
  readonly seconds: number
}

export declare function wishes(path: string): TestFile
export declare function runFile(file: TestFile, scratch: string): Promise<TestResult>
