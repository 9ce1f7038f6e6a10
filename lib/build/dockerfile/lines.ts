import { type Escape, readDirectives } from './directives.ts'
import { type Heredoc, heredocsOf } from './heredoc.ts'
import { jsonWords } from './json-form.ts'
import { dockerfileError, type Position } from './position.ts'

/** Most that one line of a Dockerfile may hold, in UTF-16 code units; BuildKit stops at 65,535 bytes. */
const maxLineLength = 1 << 20

/** An instruction as it was written: its lines joined to one, without comments, and the heredocs that follow it. */
export interface InstructionLine {
  /** The instruction's name in capitals. */
  readonly keyword: string
  /** From the name to the end. */
  readonly text: string
  readonly heredocs: readonly Heredoc[]
  readonly escaper: Escape
  /** Where a character of `text` stands in the Dockerfile. */
  at(offset: number): Position
}

/** Where a piece of a joined line came from. */
interface Segment extends Position {
  readonly offset: number
}

/** The last segment that begins at or before `offset`. */
function place(segments: readonly Segment[], offset: number): Position {
  let low = 0
  let high = segments.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((segments[middle]?.offset ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  const { line, column, offset: start } = segments[low] ?? { line: 1, column: 1, offset: 0 }
  return { line, column: column + offset - start }
}

/** The line without the escape at its end that joins it with the next; undefined when there is none, or when it is escaped itself. */
function continued(line: string, escaper: Escape): string | undefined {
  let end = line.length
  while (line[end - 1] === ' ' || line[end - 1] === '\t') end -= 1
  if (line[end - 1] !== escaper || line[end - 2] === escaper) return undefined
  return line.slice(0, end - 1)
}

/** Reads a Dockerfile instruction by instruction. */
class Reader {
  readonly #lines: readonly string[]
  readonly #escaper: Escape
  #next: number

  constructor(text: string) {
    this.#lines = (text.startsWith('\ufeff') ? text.slice(1) : text).split('\n')
    for (const [index, line] of this.#lines.entries()) {
      if (line.length > maxLineLength) {
        throw dockerfileError({ line: index + 1, column: maxLineLength + 1 }, `the line has more than ${maxLineLength} characters`)
      }
    }
    const { escaper, lines } = readDirectives(this.#lines.slice(0, 4).map((line) => line.replace(/\r+$/, '')))
    this.#escaper = escaper
    this.#next = lines
  }

  *instructions(): Generator<InstructionLine> {
    for (;;) {
      const joined = this.#joined()
      if (!joined) return
      const { text, segments } = joined
      const at = (offset: number): Position => place(segments, offset)
      const keyword = (/^[^\t\v\f\r ]+/.exec(text)?.[0] ?? '').toUpperCase()
      yield { keyword, text, heredocs: this.#heredocs(text, at), escaper: this.#escaper, at }
    }
  }

  /** A physical line without its end, and its number. */
  #line(): { text: string; number: number } | undefined {
    const text = this.#lines[this.#next]
    if (text === undefined) return undefined
    this.#next += 1
    return { text: text.endsWith('\r') ? text.replace(/\r+$/, '') : text, number: this.#next }
  }

  /** The next instruction's lines as one. Within it, too, comments and empty lines count for nothing. */
  #joined(): { text: string; segments: Segment[] } | undefined {
    const pieces: string[] = []
    const segments: Segment[] = []
    let length = 0
    for (let line = this.#line(); line; line = this.#line()) {
      const { text: whole, number } = line
      const indent = whole.length - whole.trimStart().length
      if (indent === whole.length || whole[indent] === '#') continue
      const start = length === 0 ? indent : 0
      const text = whole.slice(start)
      const more = continued(text, this.#escaper)
      const piece = more ?? text
      if (piece !== '') segments.push({ offset: length, line: number, column: start + 1 })
      pieces.push(piece)
      length += piece.length
      if (more === undefined) break
    }
    const text = pieces.join('').trimEnd()
    return text === '' ? undefined : { text, segments }
  }

  #heredocs(text: string, at: (offset: number) => Position): Heredoc[] {
    if (!text.includes('<<')) return []
    const [head = ''] = /^(onbuild\s+)?(add|copy|run)\s+(--\S*\s+)*/i.exec(text) ?? []
    if (head === '' || jsonWords(text.slice(head.length))) return []
    return heredocsOf(text).map(({ word, offset }) => {
      const content: string[] = []
      for (;;) {
        const raw = this.#lines[this.#next]
        this.#next += 1
        // The last piece after the last line's end is no line.
        if (raw === undefined || (raw === '' && this.#next === this.#lines.length)) {
          throw dockerfileError(at(offset), `the heredoc ${word.name} does not end`, {
            hint: `a line with ${word.name} and nothing else ends it`,
          })
        }
        const line = raw.replace(/\r+$/, '')
        if ((word.stripsTabs ? line.replace(/^\t+/, '') : line) === word.name) break
        content.push(raw)
      }
      return { ...word, content: content.map((line) => `${line}\n`).join('') }
    })
  }
}

/** The instructions of a Dockerfile, in their order. Throws `dockerfile_invalid`. */
export function readInstructions(text: string): InstructionLine[] {
  return [...new Reader(text).instructions()]
}
