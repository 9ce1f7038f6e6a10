import { inspect, stripVTControlCharacters } from 'node:util'
import { printable } from '../lib/terminal/index.ts'
import type { Problem } from './protocol.ts'
import { framesOf, innerFramesOf, isUsersFrame } from './stack.ts'

/** Codes of SGR (ECMA-48): what a terminal paints with. */
const styles = { bold: [1, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], cyan: [36, 39], gray: [90, 39] } as const

/** Text in a style, where `colors` says that the reader has them. */
export function paint(style: keyof typeof styles, text: string, colors: boolean): string {
  const [on, off] = styles[style]
  return colors ? `\x1b[${on}m${text}\x1b[${off}m` : text
}

const sgr = '(?:\\x1b\\[\\d+m)?'
/** What the domain of Node's REPL server leaves on every promise. */
const asyncIds = new RegExp(`,\\s*\\[?${sgr}Symbol\\((?:trigger_)?async_id_symbol\\)${sgr}\\]?: ${sgr}\\d+${sgr}`, 'g')

/** Everything but the frames of a stack that are not the user's own. */
function isKept(line: string): boolean {
  return !/^\s+at .*:\d+:\d+\)?,?$/.test(line) || isUsersFrame(line)
}

export function showValue(value: unknown, colors: boolean): string {
  if (value instanceof Error) return showError(value, colors)
  const text = inspect(value, { colors, depth: 2, maxArrayLength: 60, maxStringLength: 4000, compact: 3, breakLength: 100 })
  return text
    .replace(asyncIds, '')
    .split('\n')
    .filter((line) => isKept(stripVTControlCharacters(line)))
    .join('\n')
}

function field(value: object, name: string): unknown {
  return Reflect.get(value, name)
}

/** Lines of a failed step's output that are shown with its error; docs/progress.md says so. */
const logLines = 20

/** The last lines of what a failed build step printed. */
function logOf(error: Error): string[] {
  const details = field(error, 'details')
  const log = typeof details === 'object' && details !== null ? field(details, 'log') : undefined
  if (typeof log !== 'string') return []
  const lines = log.trimEnd().split('\n')
  // A log of one line is in the message already.
  return lines.length > 1 ? lines.slice(-logLines).map((line) => `    ${printable(line)}`) : []
}

/** The step of a build that failed with an error which says nothing of it. */
function stepOf(error: Error): string[] {
  const details = field(error, 'details')
  const step = typeof details === 'object' && details !== null ? field(details, 'step') : undefined
  if (typeof step !== 'string' || error.message.startsWith('run: ')) return []
  const [line = ''] = stripVTControlCharacters(step).split('\n')
  return [`  in step: ${line.length > 100 ? `${line.slice(0, 100)}…` : line}`]
}

function headOf(error: Error, colors: boolean): string[] {
  const code = field(error, 'code')
  const name = error.name === 'Error' && typeof code === 'string' ? '' : error.name
  const label = [name, typeof code === 'string' ? code : ''].filter(Boolean).join(' ')
  const hint = field(error, 'hint')
  const hasHint = typeof hint === 'string' && !error.message.includes(hint)
  const [first = '', ...rest] = error.message.split('\n')
  const lines = [`${paint('red', label || 'Error', colors)}${first ? `: ${first}` : ''}`, ...rest, ...(hasHint ? [`  hint: ${hint}`] : [])]
  return lines.map((line) => line.replace(/^( {2}hint:)/, (word) => paint('yellow', word, colors)))
}

/** An error with a code is an answer, and says what to do; one without is a fault, and where it is matters too. */
function placesOf(error: Error): string[] {
  const stack = error.stack ?? ''
  const isFault = typeof field(error, 'code') !== 'string'
  return [...(isFault ? innerFramesOf(stack) : []), ...framesOf(stack)]
}

/** An error for a person: what went wrong, what to do, its code, and where in the user's own code; what caused it on lines after. */
export function showError(error: unknown, colors: boolean, depth = 0): string {
  if (!(error instanceof Error)) return `${paint('red', 'Thrown', colors)}: ${inspect(error, { colors })}`
  const lines = [...headOf(error, colors), ...stepOf(error), ...logOf(error)]
  if (depth === 0) lines.push(...placesOf(error).map((line) => paint('gray', line, colors)))
  if (error instanceof AggregateError && depth < 3) {
    for (const each of error.errors)
      lines.push(
        ...showError(each, colors, depth + 1)
          .split('\n')
          .map((line) => `  ${line}`),
      )
  }
  if (error.cause !== undefined && depth < 5) lines.push(`  caused by ${showError(error.cause, colors, depth + 1)}`)
  return lines.join('\n')
}

/** The compiler's objections, one a line; for an input of several lines, with the line in question. */
export function showProblems(problems: readonly Problem[], code: string, colors: boolean): string {
  const lines = code.trimEnd().split('\n')
  return problems
    .map((problem) => {
      const place = problem.line === 0 ? '' : problem.file ? `${problem.file}:${problem.line}:${problem.column}` : `line ${problem.line}`
      const head = [place, paint('red', `TS${problem.code}`, colors)].filter(Boolean).join(' ')
      const text = problem.file === undefined && lines.length > 1 ? lines[problem.line - 1] : undefined
      const excerpt =
        text === undefined ? '' : `\n    ${text}\n    ${' '.repeat(Math.max(0, problem.column - 1))}${paint('red', '^', colors)}`
      return `${head}: ${problem.message}${excerpt}`
    })
    .join('\n')
}
