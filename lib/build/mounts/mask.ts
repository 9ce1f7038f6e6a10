/** A shorter text would be found where it is no secret. */
const leastBytes = 4
/** A longer line is looked for in pieces, one after the other. */
const pieceBytes = 1024
const leastLineBytes = 8
const stars = Buffer.from('***')
const nothing = Buffer.alloc(0)

/** What is looked for of a value: all of it, and each longer line, since programs print line by line. */
function patternsOf(value: Uint8Array): Buffer[] {
  const text = Buffer.from(value).toString('latin1').trim()
  const lines = text.split('\n').map((line) => line.trim())
  const long = lines.length > 1 ? lines.filter((line) => line.length >= leastLineBytes) : []
  return [text, ...long]
    .filter((each) => each.length >= leastBytes)
    .flatMap(piecesOf)
    .map((each) => Buffer.from(each, 'latin1'))
}

/** Of about the same length, none of them short. */
function piecesOf(text: string): string[] {
  const length = Math.ceil(text.length / Math.ceil(text.length / pieceBytes))
  return Array.from({ length: Math.ceil(text.length / length) }, (_, index) => text.slice(index * length, (index + 1) * length))
}

/** Puts stars in the place of secrets in what a command prints. */
export class Mask {
  readonly #patterns: readonly Buffer[]

  constructor(values: readonly Uint8Array[]) {
    this.#patterns = values.flatMap(patternsOf).sort((one, other) => other.length - one.length)
  }

  get isEmpty(): boolean {
    return this.#patterns.length === 0
  }

  /** For one stream: gives what may be shown by now, and holds back what may be the start of a secret. */
  stream(): { add(data: Uint8Array): Buffer; end(): Buffer } {
    let held: Buffer = nothing
    return {
      add: (data) => {
        const { shown, rest } = this.#replace(Buffer.concat([held, data]))
        const keep = this.#started(rest)
        held = Buffer.from(rest.subarray(rest.length - keep))
        return Buffer.concat([...shown, rest.subarray(0, rest.length - keep)])
      },
      end: () => {
        const last = held
        held = nothing
        return last
      },
    }
  }

  #replace(bytes: Buffer): { readonly shown: readonly Buffer[]; readonly rest: Buffer } {
    const shown: Buffer[] = []
    let rest = bytes
    for (;;) {
      let at = -1
      let found: Buffer | undefined
      for (const pattern of this.#patterns) {
        const here = rest.indexOf(pattern)
        if (here < 0 || (at >= 0 && here >= at)) continue
        at = here
        found = pattern
      }
      if (found === undefined) return { shown, rest }
      shown.push(rest.subarray(0, at), stars)
      rest = rest.subarray(at + found.length)
    }
  }

  /** How many bytes at the end are the start of a pattern. */
  #started(bytes: Buffer): number {
    let most = 0
    for (const pattern of this.#patterns) {
      for (let length = Math.min(pattern.length - 1, bytes.length); length > most; length -= 1) {
        if (bytes.subarray(bytes.length - length).equals(pattern.subarray(0, length))) most = length
      }
    }
    return most
  }
}
