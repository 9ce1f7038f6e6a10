import { StrakeError } from '../../errors/index.ts'
import { flags } from '../../sys/index.ts'

/** A capability as capabilities(7) writes it. */
export type CapabilityName = keyof typeof flags.CAP

/** All 41, in the order of their numbers. */
export const capabilityNames = Object.keys(flags.CAP) as readonly CapabilityName[]

/** The 14 that Docker gives to a container unless told otherwise. */
// biome-ignore format: a table
export const defaultCapabilities: readonly CapabilityName[] = [
  'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL', 'CAP_SETGID', 'CAP_SETUID', 'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE', 'CAP_NET_RAW', 'CAP_SYS_CHROOT', 'CAP_MKNOD', 'CAP_AUDIT_WRITE', 'CAP_SETFCAP',
]

export interface CapabilityOptions {
  /** With or without `CAP_`, in any case; `'ALL'` for all. */
  readonly add?: readonly Capability[] | undefined
  readonly drop?: readonly Capability[] | undefined
}

type WithoutPrefix<Name> = Name extends `CAP_${infer Rest}` ? Rest : never
type Spelling = CapabilityName | WithoutPrefix<CapabilityName> | 'ALL'

/** A capability (capabilities(7)) as Docker takes it: `NET_ADMIN`, `CAP_NET_ADMIN`, `net_admin`. */
export type Capability = Spelling | Lowercase<Spelling>

const longestShown = 40

function named(name: unknown): CapabilityName | 'ALL' {
  const text = typeof name === 'string' && name.length <= longestShown ? name.toUpperCase() : ''
  if (text === 'ALL') return 'ALL'
  const full = text.startsWith('CAP_') ? text : `CAP_${text}`
  const found = capabilityNames.find((each) => each === full)
  if (found) return found
  throw new StrakeError('invalid_argument', `unknown capability ${JSON.stringify(String(name).slice(0, longestShown))}`, {
    hint: 'capabilities(7) lists them: NET_ADMIN, SYS_PTRACE, …; or ALL',
  })
}

/**
 * The capabilities of a container, by Docker's rules: `add: ['ALL']` gives all but what is dropped; else `drop: ['ALL']` leaves
 * only what is added; else the default set, less `drop`, plus `add`. In the order of their numbers, each once. An unknown name:
 * `invalid_argument`.
 *
 * @example
 * resolveCapabilities({ add: ['NET_ADMIN'], drop: ['mknod'] })
 */
export function resolveCapabilities(options: CapabilityOptions = {}): readonly CapabilityName[] {
  const add = new Set((options.add ?? []).map(named))
  const drop = new Set((options.drop ?? []).map(named))
  if (add.has('ALL')) return capabilityNames.filter((name) => !drop.has(name))
  if (drop.has('ALL')) return capabilityNames.filter((name) => add.has(name))
  const kept = new Set(defaultCapabilities.filter((name) => !drop.has(name)))
  return capabilityNames.filter((name) => kept.has(name) || add.has(name))
}

/** A mask with the bit of each capability, as the ops `capSet`, `capAmbient` and `capBounding` take it. */
export function capabilityMask(names: readonly CapabilityName[]): number {
  return [...new Set(names)].reduce((mask, name) => mask + 2 ** flags.CAP[name], 0)
}
