import { setTimeout as sleep } from 'node:timers/promises'
import { onAbort } from '../../errors/index.ts'
import { abortedError, throwIfAborted } from './failure.ts'

const firstPause = 250
const longestPause = 8000
/** A registry that wants to be left alone for longer than this is taken at its word: the call rejects. */
export const longestRetryAfter = 60_000

/** Whether a status says that the same request may do better later. */
export function isTransient(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505)
}

/** Milliseconds of a Retry-After header (RFC 9110, 10.2.3): seconds or a date. */
export function retryAfter(header: string | undefined, now = Date.now()): number | undefined {
  if (header === undefined) return undefined
  if (/^[0-9]{1,12}$/.test(header.trim())) return Number(header.trim()) * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** Milliseconds before try `attempt` (from 1): twice as long each time, each a little different from what others wait. */
export function pauseBefore(attempt: number, random = Math.random()): number {
  return Math.min(longestPause, firstPause * 2 ** (attempt - 1)) * (0.75 + random / 2)
}

export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal)
  const control = new AbortController()
  const forget = onAbort(signal, () => control.abort())
  try {
    await sleep(milliseconds, undefined, { signal: control.signal })
  } catch (error) {
    throw signal?.aborted ? abortedError(signal) : error
  } finally {
    forget()
  }
}
