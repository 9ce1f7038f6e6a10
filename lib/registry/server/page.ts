import { Refusal } from './refusal.ts'

export interface Page {
  readonly items: readonly string[]
  /** The query of the next page; undefined on the last. */
  readonly next: string | undefined
}

/** What a page holds at most, and without `n`. */
const longestPage = 1000

/** distribution-spec, "Listing Tags": `n` entries after `last`, in the order of their bytes, wherever `last` would stand if it is not there. */
export function pageOf(all: Iterable<string>, query: URLSearchParams): Page {
  const n = query.get('n')
  if (n !== null && !/^[0-9]{1,15}$/.test(n)) throw new Refusal(400, 'PAGINATION_NUMBER_INVALID', 'n is not a number', { detail: { n } })
  const count = Math.min(n === null ? longestPage : Number(n), longestPage)
  if (count === 0) return { items: [], next: undefined }
  const last = query.get('last') ?? ''
  const rest = [...all].sort((one, other) => (one < other ? -1 : one > other ? 1 : 0)).filter((each) => each > last)
  const items = rest.slice(0, count)
  const end = items.at(-1)
  const next =
    end === undefined || rest.length === items.length ? undefined : new URLSearchParams({ n: String(count), last: end }).toString()
  return { items, next }
}
