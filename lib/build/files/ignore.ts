import dockerignore from '@balena/dockerignore'
import { StrakeError } from '../../errors/index.ts'

/** Every pattern and path is looked at below a directory of this name: the library takes `constructor` at the top for one of its own. */
const top = 'r'

/** What Go's filepath.Match knows as plain characters and a regular expression does not. */
function plain(pattern: string): string {
  return pattern.replace(/\\.|[+(){}|]/gs, (found) => (found.length > 1 ? found : `\\${found}`))
}

function belowTop(line: string): string | undefined {
  const text = line.trim()
  if (text === '' || line.startsWith('#')) return undefined
  const isNegative = text.startsWith('!')
  const pattern = (isNegative ? text.slice(1).trim() : text).replace(/^\/+/, '')
  // "For historical reasons, the pattern . is ignored."
  if (/^\.?\/*$/.test(pattern)) return undefined
  return `${isNegative ? '!' : ''}${top}/${plain(pattern)}`
}

/**
 * Patterns as a .dockerignore has them (Docker documentation, "Build context", .dockerignore files): the last that matches a path or a
 * directory above it decides, `!` takes back, `**` stands for any number of directories.
 */
export class IgnorePatterns {
  /** Whether something is taken back, so that an ignored directory may have what is not ignored. */
  readonly hasExceptions: boolean
  readonly #ignore: dockerignore.Ignore | undefined

  constructor(lines: readonly string[]) {
    const patterns = lines.flatMap((line) => belowTop(line) ?? [])
    this.hasExceptions = patterns.some((pattern) => pattern.startsWith('!'))
    if (patterns.length > 0) this.#ignore = dockerignore.default({ ignorecase: false }).add(patterns)
    // Patterns are compiled when they are first asked.
    this.ignores('.')
  }

  /** Throws `context_invalid` for a pattern that is none. */
  static parse(text: string): IgnorePatterns {
    return new IgnorePatterns(text.replace(/^\uFEFF/, '').split(/\r?\n/))
  }

  /** @param path relative to where the patterns start, without `./` */
  ignores(path: string): boolean {
    try {
      return this.#ignore?.ignores(`${top}/${path}`) ?? false
    } catch (cause) {
      throw new StrakeError(
        'context_invalid',
        `a pattern of what is left out is malformed: ${cause instanceof Error ? cause.message : ''}`,
        { cause },
      )
    }
  }
}
