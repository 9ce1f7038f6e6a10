import { sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packageRoot } from './library.ts'

const hiddenFrames = [/\bnode:/, /[/\\]node_modules[/\\](ts-node|typescript|tsx|strake)[/\\]/]

/** The lines of inputs that the lines of their JavaScript were made of. */
const inputLines = new Map<number, readonly number[]>()

export function rememberLines(id: number, lines: readonly number[]): void {
  inputLines.set(id, lines)
}

interface InputFrame {
  /** Of the function; empty for one that has none. */
  readonly name: string
  /** From 1. */
  readonly line: number
}

function inputFrame(frame: string): InputFrame | undefined {
  const match = /^\s*at (?:async )?(?:(.+) \()?\S*strake-input-(\d+)\.ts:(\d+):\d+\)?,?$/.exec(frame)
  if (!match) return undefined
  const [, name = '', id, line] = match
  return { name, line: inputLines.get(Number(id))?.[Number(line) - 1] ?? Number(line) }
}

/** Of the frames in inputs, those tell more than the message does that have a name of the user's, or are below the first line. */
function isTelling({ name, line }: InputFrame): boolean {
  return name === 'strakeInput' ? line > 1 : name !== '' && name !== 'strakeScope'
}

function readable(frame: string): string {
  const input = inputFrame(frame)
  if (!input) return `    ${frame.trim()}`
  return input.name === 'strakeInput' ? `    at line ${input.line}` : `    at ${input.name}, line ${input.line}`
}

function isOwnFrame(line: string): boolean {
  const path = /(file:\/\/[^)]+?|\/[^)]+?):\d+:\d+\)?$/.exec(line)?.[1]
  if (path === undefined) return false
  const file = path.startsWith('file:') ? fileURLToPath(path.replace(/\?.*/, '')) : path
  return ['lib', 'repl', 'dist', 'node_modules'].some((folder) => file.startsWith(packageRoot + sep + folder + sep))
}

export function isUsersFrame(line: string): boolean {
  const input = inputFrame(line)
  if (input) return isTelling(input)
  return !hiddenFrames.some((hidden) => hidden.test(line)) && !isOwnFrame(line)
}

const isFrame = (line: string) => /^\s+at .*:\d+:\d+\)?$/.test(line)

/** The frames of a stack that are the user's own code. */
export function framesOf(stack: string): string[] {
  return stack.split('\n').filter(isFrame).filter(isUsersFrame).map(readable)
}

const mostInnerFrames = 4

/** The frames between the user's code and the place of an error within this package: what a report of a fault needs. */
export function innerFramesOf(stack: string): string[] {
  const lines = stack.split('\n').filter(isFrame)
  const end = lines.findIndex((line) => inputFrame(line) !== undefined || isUsersFrame(line))
  const inner = lines.slice(0, end < 0 ? lines.length : end).filter((line) => !/\bnode:/.test(line))
  return inner.slice(0, mostInnerFrames).map((line) => `    ${line.trim()}`)
}
