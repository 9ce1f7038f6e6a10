/** A shorter value would be found where it is no secret: it counts where it stands as a word of its own. */
const leastBytes = 4
/** The same of a line of a value of several lines. */
const leastLineBytes = 8
/** A longer line is looked for in pieces, one after the other. */
const pieceBytes = 1024
const stars = Buffer.from('***')
const nothing = Buffer.alloc(0)
const space = 0x20

interface Pattern {
  readonly bytes: Buffer
  /** Found only where neither a letter nor a digit stands beside it. */
  readonly isWord: boolean
}

/** White space of ASCII alone: other bytes may be part of a letter. */
function trimmed(text: string): string {
  return text.replace(/^[\t-\r ]+|[\t-\r ]+$/g, '')
}

/**
 * What is looked for of a value: all of it, and each of its lines, since programs print line by line. A line of one byte, or without any letter or
 * digit (a brace), says nothing.
 */
function patternsOf(value: Uint8Array): Pattern[] {
  const text = trimmed(Buffer.from(value).toString('latin1'))
  const lines = text.split('\n').map(trimmed)
  const telling = lines.length > 1 ? lines.filter((line) => line.length > 1 && /[0-9A-Za-z\x80-\xff]/.test(line)) : []
  return [
    ...(text === '' ? [] : piecesOf(text, leastBytes)),
    ...telling.flatMap((line): readonly Pattern[] => piecesOf(line, leastLineBytes)),
  ]
}

/** Of about the same length, none of them short unless the text is: shorter than `least`, that is. */
function piecesOf(text: string, least: number): Pattern[] {
  const isWord = text.length < least
  const length = Math.ceil(text.length / Math.ceil(text.length / pieceBytes))
  return Array.from({ length: Math.ceil(text.length / length) }, (_, index) => ({
    bytes: Buffer.from(text.slice(index * length, (index + 1) * length), 'latin1'),
    isWord,
  }))
}

/** Letters and digits of ASCII, and what other letters are made of in UTF-8. */
function isOfWord(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a) || byte >= 0x80
}

function sorted(patterns: readonly Pattern[]): readonly Pattern[] {
  return [...patterns].sort((one, other) => other.bytes.length - one.bytes.length)
}

/** A value as messages show a name: its bytes as text, and that as JSON has it. */
function formsOf(value: Uint8Array): Buffer[] {
  const text = Buffer.from(trimmed(Buffer.from(value).toString('latin1')), 'latin1').toString()
  return [text, JSON.stringify(text).slice(1, -1)].map((each) => Buffer.from(each))
}

/** Puts stars in the place of secrets in what a command prints, and in what is said of it. */
export class Mask {
  readonly #patterns: readonly Pattern[]
  readonly #forms: readonly Pattern[]

  constructor(values: readonly Uint8Array[]) {
    this.#patterns = sorted(values.flatMap(patternsOf))
    this.#forms = sorted([...this.#patterns, ...values.flatMap(formsOf).flatMap(patternsOf)])
  }

  get isEmpty(): boolean {
    return this.#patterns.length === 0
  }

  /** Of a message, or a name in one. Either may have been cut: where it ends with what may be the start of a secret, that is starred as well. */
  text(text: string): string {
    const pieces = this.#pass(text, Number.POSITIVE_INFINITY).split('…')
    return pieces.map((piece) => this.#pass(piece, leastBytes)).join('…')
  }

  #pass(text: string, least: number): string {
    const stream = new MaskStream(this.#forms)
    return Buffer.concat([stream.add(Buffer.from(text)), stream.end(least)]).toString()
  }

  /** For one stream: gives what may be shown by now, and holds back what may be the start of a secret. */
  stream(): { add(data: Uint8Array): Buffer; end(): Buffer } {
    return new MaskStream(this.#patterns)
  }
}

class MaskStream {
  readonly #patterns: readonly Pattern[]
  #held: Buffer = nothing
  /** The byte before those that are held. */
  #before = space

  constructor(patterns: readonly Pattern[]) {
    this.#patterns = patterns
  }

  add(data: Uint8Array): Buffer {
    const bytes = Buffer.concat([this.#held, data])
    return this.#show(bytes, bytes.length - this.#started(bytes))
  }

  /** What is held back. As a start of a secret it is not shown where it has `least` bytes. */
  end(least = Number.POSITIVE_INFINITY): Buffer {
    return this.#held.length >= least ? stars : this.#show(this.#held, this.#held.length)
  }

  /** Of what begins before `decided` all is known: the first that begins counts, and the longest of those that begin there. */
  #show(bytes: Buffer, decided: number): Buffer {
    const shown: Buffer[] = []
    const places = this.#patterns.map(() => -1)
    let at = 0
    for (;;) {
      let first = decided
      let length = 0
      for (const [index, pattern] of this.#patterns.entries()) {
        if ((places[index] ?? 0) < at) places[index] = this.#find(pattern, bytes, at)
        const place = places[index] ?? decided
        if (place >= first) continue
        first = place
        length = pattern.bytes.length
      }
      if (length === 0) break
      shown.push(bytes.subarray(at, first), stars)
      at = first + length
    }
    const rest = Math.max(at, decided)
    shown.push(bytes.subarray(at, rest))
    this.#before = bytes[rest - 1] ?? this.#before
    this.#held = Buffer.from(bytes.subarray(rest))
    return Buffer.concat(shown)
  }

  /** Where a pattern is, from `at` on; past everything when it is nowhere. */
  #find({ bytes: wanted, isWord }: Pattern, bytes: Buffer, at: number): number {
    for (let place = bytes.indexOf(wanted, at); place >= 0; place = bytes.indexOf(wanted, place + 1)) {
      const end = place + wanted.length
      const joins = (inner: number | undefined, outer: number | undefined): boolean => isOfWord(inner ?? space) && isOfWord(outer ?? space)
      if (!isWord) return place
      if (!joins(wanted[0], bytes[place - 1] ?? this.#before) && !joins(wanted.at(-1), bytes[end])) return place
    }
    return Number.POSITIVE_INFINITY
  }

  /** How many bytes at the end are the start of a pattern, or a word that may go on. */
  #started(bytes: Buffer): number {
    let most = 0
    for (const { bytes: pattern, isWord } of this.#patterns) {
      for (let length = Math.min(isWord ? pattern.length : pattern.length - 1, bytes.length); length > most; length -= 1) {
        if (bytes.subarray(bytes.length - length).equals(pattern.subarray(0, length))) most = length
      }
    }
    return most
  }
}
