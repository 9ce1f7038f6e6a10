import { StrakeError } from '../../../errors/index.ts'
import type { CapabilityName } from '../capabilities.ts'
import { actions, errnoAction } from './action.ts'
import { type Architecture, callTables, compatOf, type SyscallName } from './architectures.ts'
import { compileRules, decide, type Rule, type RuleSet } from './compile.ts'
import { defaultFallback, defaultRules } from './default.ts'
import { profileRules, type SeccompProfile } from './profile.ts'

export interface SeccompOptions {
  /** What the container's processes may hold: some calls are allowed with a capability only. */
  readonly capabilities: readonly CapabilityName[]
  /** Default: that of this process. */
  readonly arch?: Architecture | undefined
  /**
   * The chown family succeeds and does nothing: with one mapped id there is nobody to give a file to. Package managers need it.
   * The filter must then be loaded after the last chown of the set-up.
   */
  readonly fakeOwnership?: boolean | undefined
  /** setuid(2) and its kin, and setgroups(2), succeed and do nothing. Load the filter after the set-up's own. */
  readonly fakeIds?: boolean | undefined
  /** Instead of the default profile. */
  readonly profile?: SeccompProfile | undefined
}

const ownershipCalls: readonly SyscallName[] = ['chown', 'chown32', 'fchown', 'fchown32', 'fchownat', 'lchown', 'lchown32']

// biome-ignore format: a table
const idCalls: readonly SyscallName[] = [
  'setfsgid', 'setfsgid32', 'setfsuid', 'setfsuid32', 'setgid', 'setgid32', 'setgroups', 'setgroups32', 'setregid', 'setregid32',
  'setresgid', 'setresgid32', 'setresuid', 'setresuid32', 'setreuid', 'setreuid32', 'setuid', 'setuid32',
]

function archOf(options: SeccompOptions): Architecture {
  const arch = options.arch ?? process.arch
  if (arch === 'x64' || arch === 'arm64') return arch
  throw new StrakeError('unsupported_platform', `there is no seccomp filter for ${arch}`, { hint: 'x64 and arm64 are supported' })
}

function rulesOf(options: SeccompOptions, arch: Architecture): RuleSet {
  const set: RuleSet = options.profile
    ? profileRules(options.profile, { capabilities: options.capabilities, arch })
    : { architectures: [arch, compatOf[arch]], fallback: defaultFallback, rules: defaultRules(options.capabilities) }
  const faked: Rule[] = []
  if (options.fakeOwnership) faked.push({ names: ownershipCalls, action: errnoAction(0) })
  if (options.fakeIds) faked.push({ names: idCalls, action: errnoAction(0) })
  return { ...set, rules: [...set.rules, ...faked] }
}

const compiled = new Map<string, Uint8Array>()
const compiledProfiles = new WeakMap<SeccompProfile, Map<string, Uint8Array>>()

function cacheFor(profile: SeccompProfile | undefined): Map<string, Uint8Array> {
  if (profile === null || typeof profile !== 'object') return compiled
  const known = compiledProfiles.get(profile) ?? new Map<string, Uint8Array>()
  compiledProfiles.set(profile, known)
  return known
}

/**
 * The seccomp filter of a container: an array of struct sock_filter for the op `seccomp`. Compiled once for each set of options (a
 * profile is told by its identity); do not write into it. 32-bit programs run under the same rules; x32 calls and calls newer than
 * the policy answer ENOSYS, what the policy does not allow EPERM. A profile in error: `invalid_argument`, `limit_exceeded`; an
 * architecture other than x64 and arm64: `unsupported_platform`. See seccomp(2).
 */
export function seccompFilter(options: SeccompOptions): Uint8Array {
  const arch = archOf(options)
  const cache = cacheFor(options.profile)
  const key = [arch, !!options.fakeOwnership, !!options.fakeIds, ...[...options.capabilities].sort()].join(' ')
  const known = cache.get(key)
  if (known) return known
  const filter = compileRules(rulesOf(options, arch))
  cache.set(key, filter)
  return filter
}

/** Does the filter refuse this call whatever its arguments? */
export function filterForbids(name: SyscallName, options: SeccompOptions): boolean {
  const verdicts = verdictsOf(name, options)
  return verdicts.length > 0 && !verdicts.some(lets)
}

const lets = (action: number): boolean => action === actions.ALLOW || action === actions.LOG

/** What may become of a call, by its arguments; empty when the architecture does not have it. */
function verdictsOf(name: SyscallName, options: SeccompOptions): number[] {
  const arch = archOf(options)
  if (!callTables[arch].numbers.has(name)) return []
  const { fallback, rules } = rulesOf(options, arch)
  const { otherwise, rules: conditional } = decide(
    fallback,
    rules.filter((rule) => rule.names.includes(name)),
  )
  return [otherwise, ...conditional.map((rule) => rule.action)]
}

/**
 * Does the filter let these calls through whatever their arguments? A call that the architecture does not have is let through.
 * With this a plan knows whether a process may load the filter before it does its last steps.
 */
export function filterAllows(names: readonly SyscallName[], options: SeccompOptions): boolean {
  return names.every((name) => verdictsOf(name, options).every(lets))
}
