/** One place of a pattern. Neither `*` nor `?` stands for a line's end, as in BuildKit. */
type Token = { readonly kind: 'star' } | { readonly kind: 'any' } | { readonly kind: 'text'; readonly text: string }

/** Longest value that a pattern is matched with, and longest pattern: the work is one times the other. */
const maxLength = 65_536
const maxPatternLength = 1024

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

/**
 * For each place of `value`, where the pattern ends when it begins there: as late or as early as can be, -1 where it does not match.
 * Token by token from the last one, so the work grows with value times pattern, whatever the stars.
 */
function endsOf(tokens: readonly Token[], value: readonly string[], latest: boolean): Int32Array {
  let ends = Int32Array.from({ length: value.length + 1 }, (_, at) => at)
  for (const token of [...tokens].reverse()) {
    const after = ends
    ends = new Int32Array(value.length + 1).fill(-1)
    for (let at = value.length; at >= 0; at -= 1) {
      const each = value[at]
      const isMatch = each !== undefined && (token.kind === 'text' ? token.text === each : each !== '\n')
      if (token.kind !== 'star') ends[at] = isMatch ? (after[at + 1] ?? -1) : -1
      else {
        const none = after[at] ?? -1
        const more = isMatch ? (ends[at + 1] ?? -1) : -1
        ends[at] = none < 0 || more < 0 ? Math.max(none, more) : latest ? Math.max(none, more) : Math.min(none, more)
      }
    }
  }
  return ends
}

/** The value as characters, and the pattern as tokens. */
function prepared(value: string, pattern: string): { characters: string[]; tokens: Token[] } {
  if (value.length > maxLength) throw new Error(`has a value of more than ${maxLength} characters, too long for a pattern`)
  if (pattern.length > maxPatternLength) throw new Error(`has a pattern of more than ${maxPatternLength} characters`)
  return { characters: [...value], tokens: tokensOf(pattern) }
}

/** `${value#pattern}` and, with `longest`, `${value##pattern}`. */
export function trimStart(value: string, pattern: string, longest: boolean): string {
  const { characters, tokens } = prepared(value, pattern)
  const end = endsOf(tokens, characters, longest)[0] ?? -1
  return end < 0 ? value : characters.slice(end).join('')
}

/** `${value%pattern}` and, with `longest`, `${value%%pattern}`: the same, read from the end. */
export function trimEnd(value: string, pattern: string, longest: boolean): string {
  const { characters, tokens } = prepared(value, pattern)
  const end = endsOf(tokens.reverse(), characters.reverse(), longest)[0] ?? -1
  return end < 0 ? value : characters.slice(end).reverse().join('')
}

/** `${value/pattern/replacement}` and, with `all`, `${value//pattern/replacement}`: the longest match at the first place that has one. */
export function replace(value: string, pattern: string, replacement: string, all: boolean): string {
  const { characters, tokens } = prepared(value, pattern)
  const ends = endsOf(tokens, characters, true)
  const pieces: string[] = []
  let lastEnd = -1
  for (let at = 0; at <= characters.length; ) {
    const end = ends[at] ?? -1
    // Nothing at all is no match where another one has just ended.
    const isMatch = end > at || (end === at && at !== lastEnd)
    if (isMatch) pieces.push(replacement)
    if (isMatch && !all) return pieces.join('') + characters.slice(end).join('')
    if (isMatch && end > at) {
      lastEnd = end
      at = end
    } else {
      pieces.push(characters[at] ?? '')
      at += 1
    }
  }
  return pieces.join('')
}
