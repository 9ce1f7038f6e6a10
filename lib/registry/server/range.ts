/** Both ends count. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * RFC 9110, section 14: what a Range header asks for of `size` bytes. undefined stands for all of it, which is also the answer to a header that
 * cannot be read or asks for several pieces.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=\s*([0-9]*)-([0-9]*)\s*$/i.exec(header ?? '')
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? '']
  if (first === '' && last === '') return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 }
  }
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'unsatisfiable' : { start, end }
}

/** The Content-Range of a chunk (distribution-spec, "Pushing a blob in chunks"): `0-1023`. undefined when it cannot be read. */
export function parseChunkRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[ =])?([0-9]{1,15})-([0-9]{1,15})(?:\/(?:[0-9]+|\*))?$/.exec(header)
  if (!match) return undefined
  const range = { start: Number(match[1]), end: Number(match[2]) }
  return range.end < range.start ? undefined : range
}
