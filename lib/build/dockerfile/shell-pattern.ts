/** One place of a pattern. Neither `*` nor `?` stands for a line's end, as in BuildKit. */
type Token = { readonly kind: 'star' } | { readonly kind: 'any' } | { readonly kind: 'text'; readonly text: string }

/** Longest value that a pattern is matched with; for a replacement the work grows with its square. */
const maxLength = 65_536
const maxReplaceLength = 4096

function tokensOf(pattern: string): Token[] {
  const tokens: Token[] = []
  const characters = [...pattern]
  for (let at = 0; at < characters.length; at += 1) {
    let each = characters[at] ?? ''
    if (each === '*') tokens.push({ kind: 'star' })
    else if (each === '?') tokens.push({ kind: 'any' })
    else {
      if (each === '\\') {
        at += 1
        each = characters[at] ?? ''
        if (!['*', '?', '\\', '}', '/'].includes(each)) throw new Error(`has a pattern with the unknown escape \\${each}`)
      }
      tokens.push({ kind: 'text', text: each })
    }
  }
  return tokens
}

/** How many characters of `value` from `start` on the pattern can stand for: the fewest and the most. Undefined when for none. */
function matchAt(tokens: readonly Token[], value: readonly string[], start: number): { least: number; most: number } | undefined {
  let places = new Set<number>()
  const enter = (set: Set<number>, place: number): void => {
    // A star may stand for nothing.
    for (let at = place; ; at += 1) {
      set.add(at)
      if (tokens[at]?.kind !== 'star') return
    }
  }
  enter(places, 0)
  let least: number | undefined
  let most = 0
  for (let length = 0; ; length += 1) {
    if (places.has(tokens.length)) {
      least ??= length
      most = length
    }
    const each = value[start + length]
    if (each === undefined) break
    const next = new Set<number>()
    for (const place of places) {
      const token = tokens[place]
      if (token?.kind === 'star' && each !== '\n') enter(next, place)
      else if (token && (token.kind === 'any' ? each !== '\n' : token.kind === 'text' && token.text === each)) enter(next, place + 1)
    }
    if (next.size === 0) break
    places = next
  }
  return least === undefined ? undefined : { least, most }
}

function charactersOf(value: string, limit = maxLength): string[] {
  if (value.length > limit) throw new Error(`has a value of more than ${limit} characters, too long for a pattern`)
  return [...value]
}

/** `${value#pattern}` and, with `longest`, `${value##pattern}`. */
export function trimStart(value: string, pattern: string, longest: boolean): string {
  const characters = charactersOf(value)
  const found = matchAt(tokensOf(pattern), characters, 0)
  return found ? characters.slice(longest ? found.most : found.least).join('') : value
}

/** `${value%pattern}` and, with `longest`, `${value%%pattern}`: the same, read from the end. */
export function trimEnd(value: string, pattern: string, longest: boolean): string {
  const characters = charactersOf(value).reverse()
  const found = matchAt(tokensOf(pattern).reverse(), characters, 0)
  return found
    ? characters
        .slice(longest ? found.most : found.least)
        .reverse()
        .join('')
    : value
}

/** `${value/pattern/replacement}` and, with `all`, `${value//pattern/replacement}`: the longest match at the first place that has one. */
export function replace(value: string, pattern: string, replacement: string, all: boolean): string {
  const characters = charactersOf(value, maxReplaceLength)
  const tokens = tokensOf(pattern)
  let result = ''
  let at = 0
  let lastEnd = -1
  while (at <= characters.length) {
    const match = matchAt(tokens, characters, at)
    // Nothing at all is no match where another one has just ended.
    const found = match?.most === 0 && at === lastEnd ? undefined : match
    if (found) result += replacement
    if (!found || found.most === 0) result += characters[at] ?? ''
    at += Math.max(found?.most ?? 0, 1)
    if (found && found.most > 0) lastEnd = at
    if (found && !all) break
  }
  return result + characters.slice(at).join('')
}
