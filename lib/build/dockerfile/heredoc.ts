import { expandWord, splitWords } from './expansion.ts'

/** `<<EOF` as it stands in an instruction. */
export interface HeredocWord {
  readonly name: string
  /** Variables in the content are expanded: nothing of the word is quoted. */
  readonly expands: boolean
  /** `<<-`: leading tabs are taken away. */
  readonly stripsTabs: boolean
}

/** A heredoc with what follows the instruction, line ends included. */
export interface Heredoc extends HeredocWord {
  readonly content: string
}

const nothing = (): undefined => undefined

/** The heredoc that a word of an instruction begins, if it does: `<<EOF`, `<<-"EOF"`, `3<<EOF`. */
export function heredocOf(word: string): HeredocWord | undefined {
  const [, dash, rest = ''] = /^\d*<<(-?)\s*([^<]*)$/.exec(word) ?? []
  if (rest === '') return undefined
  try {
    const names = splitWords(rest, nothing, { escaper: '\\', keepsUnset: true })
    const name = names[0]
    if (name === undefined || names.length > 1) return undefined
    const isQuoted = (expandWord(rest, nothing, { escaper: '\\', keepsUnset: true, keepsQuotes: true }).match(/['"]/g) ?? []).length
    return { name, expands: isQuoted === (name.match(/['"]/g) ?? []).length, stripsTabs: dash === '-' }
  } catch {
    return undefined
  }
}

/** The heredocs that a line begins, and where their words stand. A line whose quotes are open has none, as with BuildKit. */
export function heredocsOf(line: string): { readonly word: HeredocWord; readonly offset: number }[] {
  if (!line.includes('<<')) return []
  return rawWords(line).flatMap(({ text, offset }) => {
    const word = heredocOf(text)
    return word ? [{ word, offset }] : []
  })
}

/** Words with their quotes and escapes as they stand; white space after `<<` parts none. Nothing when a quote is not closed. */
function rawWords(line: string): { text: string; offset: number }[] {
  const words: { text: string; offset: number }[] = []
  let start = -1
  let quote = ''
  for (let at = 0; at < line.length; at += 1) {
    const each = line.charAt(at)
    if (quote) {
      if (each === quote) quote = ''
      else if (each === '\\' && quote === '"') at += 1
      continue
    }
    if (/\s/.test(each)) {
      if (start >= 0) words.push({ text: line.slice(start, at), offset: start })
      start = -1
      continue
    }
    if (start < 0) start = at
    if (each === '\\') at += 1
    else if (each === "'" || each === '"') quote = each
    else if (each === '<' && line[at + 1] === '<') {
      at += 1
      while (/[\t\r ]/.test(line.charAt(at + 1))) at += 1
    }
  }
  if (quote) return []
  if (start >= 0) words.push({ text: line.slice(start), offset: start })
  return words
}

/** The content without the tabs that `<<-` takes from each line's beginning. */
export function withoutTabs(content: string): string {
  return content.replace(/^\t+/gm, '')
}
