import os from 'node:os'
import { StrakeError } from '../../../errors/index.ts'
import { errnoNumbers } from '../../../sys/index.ts'
import type { CapabilityName } from '../capabilities.ts'
import { actions, letsThrough, mostErrno } from './action.ts'
import { type Architecture, type CallArchitecture, compatOf, isSyscallName } from './architectures.ts'
import type { Rule, RuleSet } from './compile.ts'
import { type Comparison, type Condition, comparisons } from './condition.ts'

/** When a rule of a profile counts: all that is given must be true of the container and the kernel. */
export interface SeccompProfileFilter {
  readonly caps?: readonly string[] | null | undefined
  /** `amd64`, `arm64`, … */
  readonly arches?: readonly string[] | null | undefined
  /** `'4.8'` */
  readonly minKernel?: string | null | undefined
}

export interface SeccompProfileArgument {
  readonly index: number
  /** A whole number up to 2^64 - 1; beyond 2^53 as a bigint. */
  readonly value: number | bigint
  /** SCMP_CMP_MASKED_EQ: (argument & value) == valueTwo. */
  readonly valueTwo?: number | bigint | null | undefined
  readonly op: string
}

export interface SeccompProfileRule {
  readonly name?: string | null | undefined
  readonly names?: readonly string[] | null | undefined
  readonly action: string
  readonly errnoRet?: number | null | undefined
  readonly args?: readonly SeccompProfileArgument[] | null | undefined
  readonly includes?: SeccompProfileFilter | null | undefined
  readonly excludes?: SeccompProfileFilter | null | undefined
  readonly comment?: string | null | undefined
}

/** A profile as `docker run --security-opt seccomp=FILE` takes it, once its JSON is parsed (OCI runtime-spec, config-linux.md, Seccomp). */
export interface SeccompProfile {
  readonly defaultAction: string
  readonly defaultErrnoRet?: number | null | undefined
  readonly architectures?: readonly string[] | null | undefined
  readonly archMap?: readonly { readonly architecture: string; readonly subArchitectures?: readonly string[] | null }[] | null | undefined
  readonly syscalls?: readonly SeccompProfileRule[] | null | undefined
  readonly flags?: readonly string[] | null | undefined
}

export interface ProfileContext {
  readonly capabilities: readonly CapabilityName[]
  readonly arch: Architecture
  /** As uname(2) gives it; default: the running kernel's. */
  readonly kernel?: string
}

const mostRules = 20_000
const goNames: Readonly<Record<Architecture, string>> = { x64: 'amd64', arm64: 'arm64' }
const profileNames: Readonly<Record<CallArchitecture, string>> = {
  x64: 'SCMP_ARCH_X86_64',
  i386: 'SCMP_ARCH_X86',
  arm64: 'SCMP_ARCH_AARCH64',
  arm: 'SCMP_ARCH_ARM',
}

function refuse(message: string, hint?: string): never {
  throw new StrakeError('invalid_argument', `seccomp profile: ${message}`, { hint })
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** The list in a field that may be left out or null; not a list: `invalid_argument`. */
function list<T>(value: readonly T[] | null | undefined, field: string): readonly T[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) refuse(`"${field}" is not a list`)
  if (value.length > mostRules) refuse(`"${field}" has more than ${mostRules} entries`)
  return value
}

function actionOf(name: unknown, errno: unknown): number {
  if (typeof name !== 'string' || !name.startsWith('SCMP_ACT_')) refuse(`unknown action ${shown(name)}`)
  const short = name.slice('SCMP_ACT_'.length)
  if (short === 'NOTIFY') refuse('SCMP_ACT_NOTIFY needs an agent that answers, which is not supported')
  const known = short === 'KILL' ? 'KILL_THREAD' : short
  if (!Object.hasOwn(actions, known)) refuse(`unknown action ${shown(name)}`, `one of ${Object.keys(actions).join(', ')} after SCMP_ACT_`)
  const action = actions[known as keyof typeof actions]
  if (known !== 'ERRNO' && known !== 'TRACE') {
    if (errno !== undefined && errno !== null) refuse(`errnoRet has no meaning for ${name}`)
    return action
  }
  const data = errno ?? errnoNumbers.EPERM
  const most = known === 'ERRNO' ? mostErrno : 0xffff
  if (typeof data !== 'number' || !Number.isInteger(data) || data < 0 || data > most)
    refuse(`errnoRet ${shown(data)} is not within 0 to ${most}`)
  return action + data
}

function unsigned(value: unknown, field: string): bigint {
  const exact = typeof value === 'bigint' ? value : typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : undefined
  if (exact !== undefined && exact >= 0n && exact < 1n << 64n) return exact
  return refuse(`${field} ${shown(value)} is not a whole number that can be told exactly`, 'from 2^53 on give it as a bigint')
}

function conditionOf(argument: SeccompProfileArgument): Condition {
  const { index, op } = argument
  if (!Number.isInteger(index) || index < 0 || index > 5) refuse(`args: index ${shown(index)} is not within 0 to 5`)
  const compare = comparisons.find((each: Comparison) => op === `SCMP_CMP_${each}`)
  if (!compare) refuse(`args: unknown comparison ${shown(op)}`, `one of ${comparisons.join(', ')} after SCMP_CMP_`)
  const value = unsigned(argument.value, 'args: value')
  if (compare !== 'MASKED_EQ') return { index, compare, value }
  return { index, compare, mask: value, value: unsigned(argument.valueTwo ?? 0, 'args: valueTwo') }
}

/** The conditions of a rule as alternatives: two on the same argument mean either (as runc has it), on different ones all. */
function alternativesOf(args: readonly SeccompProfileArgument[]): readonly (readonly Condition[])[] {
  const conditions = args.map(conditionOf)
  if (conditions.length === 0) return [[]]
  const isRepeated = new Set(conditions.map((each) => each.index)).size < conditions.length
  return isRepeated ? conditions.map((each) => [each]) : [conditions]
}

function version(text: string): readonly [number, number] {
  const match = /^(\d{1,3})\.(\d{1,3})(?=\D|$)/.exec(text)
  return match ? [Number(match[1]), Number(match[2])] : refuse(`minKernel ${shown(text)} is not of the form "4.8"`)
}

function isAtLeast(kernel: string, wanted: string): boolean {
  const [have, want] = [version(kernel), version(wanted)]
  return have[0] > want[0] || (have[0] === want[0] && have[1] >= want[1])
}

function counts(rule: SeccompProfileRule, context: ProfileContext): boolean {
  const kernel = context.kernel ?? os.release()
  const own: readonly string[] = context.capabilities
  const { includes, excludes } = rule
  if (excludes) {
    if (list(excludes.arches, 'arches').includes(goNames[context.arch])) return false
    if (list(excludes.caps, 'caps').some((name) => own.includes(name))) return false
    if (excludes.minKernel && isAtLeast(kernel, excludes.minKernel)) return false
  }
  if (includes) {
    const arches = list(includes.arches, 'arches')
    if (arches.length > 0 && !arches.includes(goNames[context.arch])) return false
    if (!list(includes.caps, 'caps').every((name) => own.includes(name))) return false
    if (includes.minKernel && !isAtLeast(kernel, includes.minKernel)) return false
  }
  return true
}

function rulesOf(entry: SeccompProfileRule, context: ProfileContext, fallback: number): Rule[] {
  if (entry === null || typeof entry !== 'object') refuse(`a rule is ${shown(entry)}`)
  const names = list(entry.names, 'names')
  if (entry.name && names.length > 0) refuse('a rule has both "name" and "names"')
  const all = entry.name ? [entry.name] : names
  if (all.length === 0) refuse('a rule names no system call')
  const action = actionOf(entry.action, entry.errnoRet)
  const alternatives = alternativesOf(list(entry.args, 'args'))
  const unknown = all.find((name) => typeof name !== 'string' || !isSyscallName(name))
  // A name of the future in a list of what is allowed takes nothing away; where it is to be refused, a slip would let it through.
  if (unknown !== undefined && letsThrough(fallback) && !letsThrough(action)) refuse(`unknown system call ${shown(unknown)}`)
  return counts(entry, context) ? alternatives.map((conditions) => ({ names: all, action, conditions })) : []
}

function architecturesOf(profile: SeccompProfile, arch: Architecture): readonly CallArchitecture[] {
  const plain = list(profile.architectures, 'architectures')
  const map = list(profile.archMap, 'archMap')
  if (plain.length > 0 && map.length > 0) refuse('both "architectures" and "archMap" are given')
  const named =
    plain.length > 0 ? plain : list(map.find((each) => each?.architecture === profileNames[arch])?.subArchitectures, 'subArchitectures')
  const compat = compatOf[arch]
  return named.includes(profileNames[compat]) ? [arch, compat] : [arch]
}

/**
 * A profile in Docker's format as rules. An unknown action, comparison or kernel version, a wrong number, or a rule that forbids a
 * system call which does not exist: `invalid_argument`. `SCMP_ARCH_X32` counts for nothing: x32 calls always answer ENOSYS.
 */
export function profileRules(profile: SeccompProfile, context: ProfileContext): RuleSet {
  if (profile === null || typeof profile !== 'object') refuse(`it is ${shown(profile)}, not an object`)
  const fallback = actionOf(profile.defaultAction, profile.defaultErrnoRet)
  const rules = list(profile.syscalls, 'syscalls').flatMap((entry) => rulesOf(entry, context, fallback))
  return { architectures: architecturesOf(profile, context.arch), fallback, rules }
}

/** The flags of seccomp(2) that a profile asks for. TSYNC is left out: a container begins with one thread. */
export function profileFlags(profile: SeccompProfile): readonly ('SECCOMP_FILTER_FLAG_LOG' | 'SECCOMP_FILTER_FLAG_SPEC_ALLOW')[] {
  return list(profile.flags, 'flags').flatMap((name) => {
    if (name === 'SECCOMP_FILTER_FLAG_TSYNC') return []
    if (name === 'SECCOMP_FILTER_FLAG_LOG' || name === 'SECCOMP_FILTER_FLAG_SPEC_ALLOW') return [name]
    return refuse(`unsupported flag ${shown(name)}`)
  })
}
