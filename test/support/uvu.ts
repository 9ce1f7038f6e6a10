// uvu as the tests use it: a failure is always told. uvu's own report takes `details` of an error for the text of a comparison, breaks on
// anything else, and then ends with exit code 0; so it does when a `before` throws. Nor does it say what was never run.
import { inspect, types } from 'node:util'
import * as uvu from 'uvu'
import { compare } from 'uvu/diff'

export type { Callback, Test } from 'uvu'

type Handler<Context> = uvu.Callback<Context>

function isError(thrown: unknown): thrown is Error & Readonly<Record<string, unknown>> {
  return thrown instanceof Error || types.isNativeError(thrown)
}

/** Whether uvu shows an assertion as it is: it compares `actual` with `expected`, which not all values bear. */
function isShownByUvu(error: Error & Readonly<Record<string, unknown>>): boolean {
  if (error.code !== 'ERR_ASSERTION' || typeof error.stack !== 'string') return false
  if (error.details && typeof error.details !== 'string') return false
  if (error.operator !== undefined && typeof error.operator !== 'string') return false
  try {
    if (error.name.startsWith('AssertionError')) compare(error.actual, error.expected)
    return true
  } catch {
    return false
  }
}

/** What was thrown, as an Error that uvu can print: all that it carries beside its message is text in `details`. */
export function readable(thrown: unknown): Error {
  if (!isError(thrown)) return new Error(`What was thrown is no Error: ${inspect(thrown)}`)
  if (isShownByUvu(thrown)) return thrown
  const { name: _name, message: _message, stack: _stack, ...facts } = thrown
  const carried: Record<string, unknown> = { ...facts }
  // These two are not enumerable where the language itself sets them.
  if (thrown.cause !== undefined) carried.cause = thrown.cause
  if (thrown.errors !== undefined) carried.errors = thrown.errors
  const shown = new Error(String(thrown.message))
  shown.name = String(thrown.name)
  shown.stack = typeof thrown.stack === 'string' ? thrown.stack : `${shown.name}: ${shown.message}\n`
  return Object.assign(shown, Object.keys(carried).length > 0 ? { details: inspect(carried, { depth: 5 }) } : {})
}

/** Names of tests that have been registered and have not ended. */
const unfinished = new Set<{ readonly name: string; readonly isOnly: boolean }>()
let registered = 0
let hasFailed = false

/** A hook's failure is told here: uvu would pass it over, or break. */
function tell(what: string, error: Error): void {
  hasFailed = true
  const { details } = error as { details?: unknown }
  console.error(`\n   FAIL  ${what}\n${error.stack ?? error.message}\n${typeof details === 'string' ? details : ''}`)
}

process.on('exit', () => {
  const only = [...unfinished].filter(({ isOnly }) => isOnly)
  const left = only.length > 0 ? only : [...unfinished]
  if (left.length > 0) console.error(`\n# unfinished: ${left.length} of ${registered} tests have not ended, first "${left[0]?.name}"`)
  if (left.length > 0 || hasFailed) process.exitCode ||= 1
})

function wrapped<Context>(real: uvu.Test<Context>): uvu.Test<Context> {
  const body = (name: string, handler: Handler<Context>, isOnly: boolean): Handler<Context> => {
    const entry = { name, isOnly }
    registered += 1
    unfinished.add(entry)
    return async (context) => {
      try {
        await handler(context)
      } catch (thrown) {
        throw readable(thrown)
      } finally {
        unfinished.delete(entry)
      }
    }
  }
  const hook =
    (handler: Handler<Context>, what: string, isThrown: boolean): Handler<Context> =>
    async (context) => {
      try {
        await handler(context)
      } catch (thrown) {
        const error = readable(thrown)
        tell(`${what} ${[context.__suite__, context.__test__].filter(Boolean).join(', ')}`, error)
        if (isThrown) throw error
      }
    }
  const test = (name: string, handler: Handler<Context>): void => real(name, body(name, handler, false))
  return Object.assign(test, {
    only: (name: string, handler: Handler<Context>) => real.only(name, body(name, handler, true)),
    skip: real.skip,
    run: real.run,
    before: Object.assign((handler: Handler<Context>) => real.before(hook(handler, 'before', true)), {
      each: (handler: Handler<Context>) => real.before.each(hook(handler, 'before each', true)),
    }),
    // uvu calls these where a throw would end the report, or call them again: it is enough that they are told.
    after: Object.assign((handler: Handler<Context>) => real.after(hook(handler, 'after', false)), {
      each: (handler: Handler<Context>) => real.after.each(hook(handler, 'after each', false)),
    }),
  })
}

/** @see uvu.test */
export const test = wrapped(uvu.test)

/** @see uvu.suite */
export function suite<Context = Record<string, unknown>>(title?: string, context?: Context): uvu.Test<Context> {
  return wrapped(uvu.suite(title, context))
}
