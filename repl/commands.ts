import { StrakeError } from '../lib/errors/index.ts'
import type { Compiler } from './compiler.ts'
import { failedStep, runShell, shellTarget, type Terminal } from './debug.ts'
import type { Evaluator, Outcome } from './evaluate.ts'
import { helpText } from './help.ts'
import { paint, showError, showProblems, showValue } from './show.ts'

/** A dot-command: what to print for its argument. */
export type Command = (argument: string) => Promise<string>

export interface CommandOptions {
  readonly evaluator: Evaluator
  readonly compiler: Compiler
  readonly library: () => Promise<object>
  readonly colors: boolean
  /** Where a shell can be opened; undefined when the session is on none. */
  readonly terminal?: Terminal | undefined
}

interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
  readonly fix?: string
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' || typeof value === 'function') && value !== null
}

function call(value: object, name: string): unknown {
  const method: unknown = Reflect.get(value, name)
  return typeof method === 'function' ? Reflect.apply(method, value, []) : undefined
}

function isPlan(value: object): boolean {
  return Array.isArray(Reflect.get(value, 'ops')) && 'clone' in value
}

/** The plan of a value as text: its own, or that of what it describes. */
async function planOf(given: unknown): Promise<string> {
  const value = given instanceof Promise ? await given : given
  if (isObject(value)) {
    if (isPlan(value)) return String(value)
    const plan = await call(value, 'plan')
    if (plan !== undefined) return String(plan)
  }
  throw new StrakeError('invalid_argument', 'This has no plan: .plan takes an image, a builder, a container or a plan')
}

function showChecks(checks: readonly Check[], colors: boolean): string {
  const width = Math.max(0, ...checks.map((check) => check.name.length))
  return checks
    .map((check) => {
      const mark = check.ok ? paint('green', '✓', colors) : paint('red', '✗', colors)
      const fix = check.fix ? `\n  ${' '.repeat(width)}  ${paint('yellow', 'fix:', colors)} ${check.fix}` : ''
      return `${mark} ${check.name.padEnd(width)}  ${check.detail}${fix}`
    })
    .join('\n')
}

/** The commands that this prompt has beside Node's own. */
export function makeCommands({ evaluator, compiler, library, colors, terminal }: CommandOptions): Readonly<Record<string, Command>> {
  const ofValue = async (code: string, outcome: Outcome, show: (value: unknown) => Promise<string>): Promise<string> => {
    switch (outcome.status) {
      case 'incomplete':
        return `${paint('red', 'Unfinished', colors)}: ${code}`
      case 'interrupted':
        return 'Interrupted'
      case 'refused':
        return showProblems(outcome.problems, code, colors)
      case 'failed':
        return showError(outcome.error, colors)
      case 'done':
        return show(outcome.value)
    }
  }
  const debug = async (value: unknown): Promise<string> => {
    const target = shellTarget(value instanceof Promise ? await value : value)
    if (terminal === undefined) return 'A shell needs a terminal: start strake on one'
    const step = failedStep(value)
    if (step) terminal.output.write(`The state before this step, which failed: ${step}\n`)
    return await runShell(target, terminal)
  }
  return {
    help: async () => helpText(colors),
    plan: async (code) =>
      code ? ofValue(code, await evaluator.value(code), planOf) : "Usage: .plan EXPR, for example .plan image().from('host')",
    debug: async (code) => (code ? ofValue(code, await evaluator.value(code), debug) : debug(evaluator.scope._error)),
    type: async (code) => {
      if (!code) return 'Usage: .type EXPR'
      const answer = await compiler.ask('type', { code })
      if (answer.status === 'refused') return showProblems(answer.problems, code, colors)
      const { type, documentation } = answer.description
      return documentation ? `${type}\n${paint('gray', documentation, colors)}` : type
    },
    doctor: async () => {
      const report = await call(await library(), 'doctor')
      const checks: unknown = isObject(report) ? Reflect.get(report, 'checks') : undefined
      return Array.isArray(checks) ? showChecks(checks, colors) : showValue(report, colors)
    },
  }
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/** What to say about a command that does not exist. */
export function unknownCommand(name: string, known: readonly string[]): string {
  const [nearest] = [...known].sort((a, b) => distance(name, a) - distance(name, b))
  const isNear = nearest !== undefined && (nearest.startsWith(name) || distance(name, nearest) <= 2)
  return `There is no command .${name}${isNear ? `; did you mean .${nearest}?` : ''} (.help lists them)`
}
