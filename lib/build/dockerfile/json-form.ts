/**
 * The words of an argument in JSON form (`["a", "b"]`); undefined when it is no JSON array, which makes it shell form; `invalid` for an
 * array of other things than strings, which BuildKit refuses.
 */
export function jsonWords(text: string): readonly string[] | 'invalid' | undefined {
  if (!text.trimStart().startsWith('[')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (!Array.isArray(value)) return undefined
    const words = value.filter((each: unknown) => typeof each === 'string')
    return words.length === value.length ? words : 'invalid'
  } catch {
    return undefined
  }
}
