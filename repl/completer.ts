import type { Compiler } from './compiler.ts'
import type { Candidate } from './protocol.ts'
import type { Scope } from './scope.ts'
import { paint } from './show.ts'

export type CompleterResult = [completions: string[], word: string]
export type Completer = (line: string, callback: (error: Error | null, result?: CompleterResult) => void) => void

/** More than this many are listed by name only. */
const mostTyped = 40

export interface CompleterOptions {
  readonly compiler: Compiler
  readonly scope: Scope
  /** The lines of the input that precede the one being typed. */
  readonly pending: () => string
  /** Node's own completer: of commands, and of module names. */
  readonly fallback: Completer
  /** Writes a listing under the line and shows the line again. */
  readonly list: (text: string) => void
  readonly colors: boolean
}

function commonStart(words: readonly string[]): string {
  const [first = '', ...others] = words
  let length = first.length
  for (const word of others) while (!word.startsWith(first.slice(0, length))) length -= 1
  return first.slice(0, length)
}

/** Members of a value that the compiler knows nothing about, got without running any getter. */
function membersOf(scope: Scope, code: string): { prefix: string; names: string[] } | undefined {
  const match = /(?:^|[^\w$.\])])([\p{ID_Start}$_][\w$]*(?:\.[\w$]+)*)\.([\w$]*)$/u.exec(code)
  if (!match) return undefined
  const [, path = '', prefix = ''] = match
  let value: unknown = { ...globalThis, ...scope }
  for (const name of path.split('.')) {
    const descriptor = typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, name) : undefined
    value = descriptor?.value
  }
  const names = new Set<string>()
  for (let at = value; at !== null && (typeof at === 'object' || typeof at === 'function'); at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name)
  }
  return { prefix, names: [...names].filter((name) => name.startsWith(prefix) && /^[\p{ID_Start}$_]/u.test(name)).sort() }
}

/** One candidate a line, with its type. */
export function listing(candidates: readonly Candidate[], colors: boolean): string {
  const width = Math.max(...candidates.map((each) => each.name.length))
  return candidates.map((each) => `  ${each.name.padEnd(width)}  ${paint('gray', each.type, colors)}`).join('\n')
}

/**
 * Completion at the prompt: names, members and options with their types from the compiler. The first Tab fills in what all candidates
 * share, the second lists them.
 */
export function makeCompleter(options: CompleterOptions): Completer {
  let asked: string | undefined
  const answer = async (line: string): Promise<CompleterResult> => {
    const code = options.pending() + line.replace(/^\s*\.(plan|type)\s+/, '')
    const { prefix, candidates } = await options.compiler.ask('complete', { code })
    if (candidates.length === 0) {
      const members = membersOf(options.scope, code)
      return members ? [members.names, members.prefix] : [[], '']
    }
    const names = candidates.map((each) => each.name)
    const isAgain = asked === line
    asked = line
    const start = commonStart(names)
    if (!isAgain || start.length > prefix.length || names.length > mostTyped) return [names, prefix]
    options.list(listing(candidates, options.colors))
    return [[], prefix]
  }
  return (line, callback) => {
    const isCommand = /^\s*\.\w*$/.test(line)
    const isModuleName = /(\brequire\s*\(|\bimport\s*\(|\bfrom\b|\bimport\b)\s*['"][^'"]*$/.test(line)
    if (isCommand || isModuleName) return options.fallback(line, callback)
    answer(line).then(
      (result) => callback(null, result),
      () => callback(null, [[], line]),
    )
  }
}
