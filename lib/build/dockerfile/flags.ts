import { quoted } from './position.ts'
import { type Flag, failAt, type Statement, type Word } from './statement.ts'

/** What a flag takes: a text, once; yes or no, once; texts, as often as one likes. */
type FlagKind = 'text' | 'boolean' | 'list'

/** The flags of one instruction, checked against those that it has. */
export class Flags<Name extends string> {
  readonly #statement: Statement
  readonly #found = new Map<string, Flag[]>()

  constructor(statement: Statement, kinds: Readonly<Record<Name, FlagKind>>) {
    this.#statement = statement
    if (statement.flags.length === 0) return
    const known = new Map<string, FlagKind>(Object.entries(kinds))
    for (const flag of statement.flags) {
      const kind = known.get(flag.name)
      if (kind === undefined) {
        const names = [...known.keys()].map((name) => `--${name}`)
        throw failAt(
          statement,
          flag.offset,
          `${statement.keyword} has no flag --${flag.name}`,
          names.length === 0 ? `${statement.keyword} takes no flags` : `${statement.keyword} takes ${names.join(', ')}`,
        )
      }
      const before = this.#found.get(flag.name) ?? []
      if (before.length > 0 && kind !== 'list') throw failAt(statement, flag.offset, `--${flag.name} is given twice`)
      if (kind === 'boolean') checkBoolean(statement, flag)
      else if (flag.value === undefined) throw failAt(statement, flag.offset, `--${flag.name} needs a value: --${flag.name}=…`)
      this.#found.set(flag.name, [...before, flag])
    }
  }

  /** The value, and where the flag stands. */
  text(name: Name): Word | undefined {
    return this.list(name)[0]
  }

  list(name: Name): Word[] {
    return (this.#found.get(name) ?? []).map(({ value = '', offset }) => ({ text: value, offset }))
  }

  /** Undefined when it is not there. */
  boolean(name: Name): boolean | undefined {
    const flag = this.#found.get(name)?.[0]
    return flag && flag.value?.toLowerCase() !== 'false'
  }

  /** Where a flag stands. */
  offset(name: Name): number {
    return this.#found.get(name)?.[0]?.offset ?? this.#statement.rest.offset
  }
}

function checkBoolean(statement: Statement, { name, value, offset }: Flag): void {
  if (value !== undefined && !['true', 'false'].includes(value.toLowerCase()))
    throw failAt(statement, offset, `--${name} is true or false, not ${quoted(value)}`)
}

/** For an instruction without flags. */
export function noFlags(statement: Statement): void {
  new Flags(statement, {})
}
