import { StrakeError } from './error.ts'
import { nearestName } from './nearest.ts'

/** Every name that an options object may have: one left out, or one too many, is an error of the compiler. */
export type OptionNames<Options> = { readonly [Name in keyof Required<Options>]: true }

/** A value as a message names its kind: `null`, `an array`, `a string`. */
export function kindOfValue(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  const kind = typeof value
  return kind === 'object' ? 'an object' : `a ${kind}`
}

/** An object with fields, such as options are: neither null nor an array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An option that is refused: `invalid_argument`. */
export function invalidOption(message: string, hint?: string): StrakeError {
  return new StrakeError('invalid_argument', message, { hint })
}

/**
 * Makes the check of an options object: `invalid_argument` for what is no object, and for a name that is not known, since a `memroy` that
 * nobody reads would be a container without a limit. Values are not looked at. One loop over the names that were given.
 *
 * @param what whose options they are: `exec`
 */
export function optionCheck<Options>(what: string, names: OptionNames<Options>): (options: unknown) => void {
  const known: ReadonlySet<string> = new Set(Object.keys(names))
  return (options) => {
    if (!isRecord(options)) throw invalidOption(`The options of ${what} must be an object, not ${kindOfValue(options)}.`)
    for (const name of Object.keys(options)) if (!known.has(name)) throw unknownOption(what, name, known)
  }
}

function unknownOption(what: string, name: string, known: ReadonlySet<string>): StrakeError {
  const nearest = nearestName(name, known)
  const shown = JSON.stringify(name.slice(0, 40))
  return invalidOption(
    `${what} has no option ${shown}.`,
    nearest === undefined ? `There are ${[...known].join(', ')}.` : `Did you mean ${nearest}?`,
  )
}

const isFunction = (value: unknown): boolean => typeof value === 'function'

/** Refuses what is given as `signal`, `onProgress`, … and is none, so that it does not fail in the middle. */
export function checkHooks(options: { readonly signal?: unknown; readonly onProgress?: unknown; readonly onNotice?: unknown }): void {
  const { signal, onProgress, onNotice } = options
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidOption('signal must be an AbortSignal.')
  if (onProgress !== undefined && !isFunction(onProgress)) throw invalidOption('onProgress must be a function.')
  if (onNotice !== undefined && !isFunction(onNotice)) throw invalidOption('onNotice must be a function.')
}

/** Refuses what is neither true nor false, nor left out. */
export function checkFlag(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw invalidOption(`${name} must be a boolean, not ${kindOfValue(value)}.`)
}

/** The variables of an environment, or other names with texts. A number is refused as in an argv: which text it would be is the caller's to say. */
export function checkTexts(what: string, value: unknown, hint = (name: string): string => `Give it as text: ${name}: String(…).`): void {
  if (!isRecord(value)) throw invalidOption(`${what} must be an object of strings, not ${kindOfValue(value)}.`)
  for (const [name, text] of Object.entries(value)) {
    if (text === undefined || typeof text === 'string') continue
    throw invalidOption(`${what}.${name.slice(0, 100)} must be a string, not ${kindOfValue(text)}.`, hint(name.slice(0, 100)))
  }
}
