import { isRecord, kindOfValue, nearestName, StrakeError } from '../../errors/index.ts'
import { flags } from '../../sys/index.ts'

type Resource = keyof typeof flags.RLIMIT

/** A limit of getrlimit(2) as Docker and prlimit(1) write it: `nofile`, `nproc`, `core`, … */
export type RlimitName = Resource extends `RLIMIT_${infer Name}` ? Lowercase<Name> : never

export type RlimitValue = number | 'unlimited'

/** One value for both limits, or `[soft, hard]`. */
export type Rlimits = { readonly [Name in RlimitName]?: RlimitValue | readonly [soft: RlimitValue, hard: RlimitValue] | undefined }

/** As the op `prlimit` takes it; no limit is Infinity. */
export interface Rlimit {
  readonly resource: number
  readonly soft: number
  readonly hard: number
}

export const rlimitNames: readonly RlimitName[] = Object.keys(flags.RLIMIT).map(
  (name) => name.slice('RLIMIT_'.length).toLowerCase() as RlimitName,
)

function shown(value: unknown): string {
  return typeof value === 'number' || typeof value === 'string' ? String(value).slice(0, 40) : kindOfValue(value)
}

function limit(value: unknown, name: string): number {
  if (value === 'unlimited' || value === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  const isPair = isRecord(value) && Object.keys(value).some((key) => /^(soft|hard)$/i.test(key))
  throw new StrakeError('invalid_argument', `rlimits.${name}: ${shown(value)} is not a limit`, {
    hint: isPair ? `Give both as a pair: ${name}: [soft, hard].` : "a whole number that is not negative, or 'unlimited'",
  })
}

/**
 * Resource limits in the order of their numbers. An unknown name, a value that is no limit, a soft limit above the hard one:
 * `invalid_argument`. See getrlimit(2).
 *
 * @example
 * parseRlimits({ nofile: 1024, core: 0, nproc: [256, 512] })
 */
export function parseRlimits(rlimits: Rlimits = {}): readonly Rlimit[] {
  const unknown = Object.keys(rlimits).find((name) => !rlimitNames.some((each) => each === name))
  if (unknown !== undefined) {
    const nearest = nearestName(unknown, rlimitNames)
    throw new StrakeError('invalid_argument', `rlimits: unknown name ${JSON.stringify(unknown.slice(0, 40))}`, {
      hint: nearest === undefined ? `one of ${rlimitNames.join(', ')}` : `Did you mean ${nearest}?`,
    })
  }
  return rlimitNames.flatMap((name) => {
    const value = rlimits[name]
    if (value === undefined) return []
    const pair: readonly unknown[] = Array.isArray(value) ? value : [value, value]
    const [soft, hard] = [limit(pair[0], name), limit(pair[1], name)]
    if (pair.length !== 2 || soft > hard) {
      throw new StrakeError('invalid_argument', `rlimits.${name}: the soft limit ${soft} is above the hard limit ${hard}`, {
        hint: 'give [soft, hard]',
      })
    }
    return [{ resource: flags.RLIMIT[`RLIMIT_${name.toUpperCase()}` as Resource], soft, hard }]
  })
}
