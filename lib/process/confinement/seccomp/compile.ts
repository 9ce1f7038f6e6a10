import { errnoNumbers } from '../../../sys/index.ts'
import { actions, errnoAction, letsThrough, rank, stricter } from './action.ts'
import { type CallArchitecture, type CallTable, callTables } from './architectures.ts'
import { BackwardAssembler, bpf, type Target } from './bpf.ts'
import { type Condition, testCondition } from './condition.ts'

/** What is to happen to calls of these names when every condition holds. Names that an architecture does not have are left out there. */
export interface Rule {
  readonly names: readonly string[]
  readonly action: number
  readonly conditions?: readonly Condition[]
}

/**
 * A whole policy. Where several rules fit one call the strictest decides, whatever their order (libseccomp lets an unconditional
 * rule swallow conditional ones; this is the same or stricter). A rule without conditions that says what `fallback` says is no rule.
 */
export interface RuleSet {
  /** The first is the one that most calls are of. */
  readonly architectures: readonly CallArchitecture[]
  /** For calls that no rule names. */
  readonly fallback: number
  readonly rules: readonly Rule[]
}

/** What happens to a call: `rules` are tried in turn, then `otherwise` holds. */
interface Decision {
  readonly otherwise: number
  readonly rules: readonly Rule[]
}

interface Range {
  readonly first: number
  readonly decision: Decision
}

const archOffset = 4
const numberOffset = 0
/** __X32_SYSCALL_BIT: above it are the x32 calls, which no kernel of a distribution still takes. */
const x32Calls = 0x40000000
/** Where 32-bit ARM numbers its private calls (__ARM_NR_BASE): being beyond the others says nothing of their age. */
const armPrivateCalls = 0xf0000

/** What `fallback` and `rules`, all of which name the call, make of it. */
export function decide(fallback: number, rules: readonly Rule[]): Decision {
  const plain = rules.filter((rule) => !rule.conditions?.length && rule.action !== fallback)
  const first = plain[0]
  const conditional = rules.filter((rule) => rule.conditions?.length)
  const byStrictness = (list: readonly Rule[]): Rule[] => [...list].sort((a, b) => rank(a.action) - rank(b.action))
  if (!first) return { otherwise: fallback, rules: byStrictness(conditional) }
  const otherwise = plain.reduce((action, rule) => stricter(action, rule.action), first.action)
  return { otherwise, rules: byStrictness(conditional.filter((rule) => rank(rule.action) < rank(otherwise))) }
}

function rulesByNumber(table: CallTable, rules: readonly Rule[]): Map<number, Rule[]> {
  const byNumber = new Map<number, Rule[]>()
  for (const rule of rules) {
    for (const name of rule.names) {
      const number = table.numbers.get(name)
      if (number === undefined) continue
      const list = byNumber.get(number)
      if (list) list.push(rule)
      else byNumber.set(number, [rule])
    }
  }
  return byNumber
}

/**
 * The ranges of call numbers of which every call meets the same fate, ascending from 0. Numbers that the architecture's table does
 * not have, and those beyond the last that a rule names, answer ENOSYS as an older kernel would (so that a C library falls back),
 * unless unnamed calls are let through.
 */
function rangesOf(architecture: CallArchitecture, set: RuleSet): Range[] {
  const table = callTables[architecture]
  const byNumber = rulesByNumber(table, set.rules)
  const last = Math.max(-1, ...[...byNumber.keys()].filter((number) => number < armPrivateCalls))
  const missing: Decision = { otherwise: letsThrough(set.fallback) ? set.fallback : errnoAction(errnoNumbers.ENOSYS), rules: [] }
  const refused: Decision = { otherwise: set.fallback, rules: [] }
  const numbers = [...new Set(table.numbers.values())].sort((a, b) => a - b)
  const ranges: Range[] = []
  const add = (first: number, decision: Decision): void => {
    const before = ranges.at(-1)?.decision
    const same = before && before.otherwise === decision.otherwise && before.rules.length + decision.rules.length === 0
    if (!same) ranges.push({ first, decision })
  }
  let next = 0
  for (const number of numbers) {
    if (number > next) add(next, missing)
    const rules = byNumber.get(number)
    const isNewer = number > last && number < armPrivateCalls
    add(number, rules ? decide(set.fallback, rules) : isNewer ? missing : refused)
    next = number + 1
  }
  add(next, missing)
  if (architecture === 'x64') add(x32Calls, { otherwise: errnoAction(errnoNumbers.ENOSYS), rules: [] })
  return ranges
}

function leaf(asm: BackwardAssembler, decision: Decision, wordBits: 32 | 64): Target {
  let otherwise: Target = { value: decision.otherwise }
  for (const rule of [...decision.rules].reverse()) {
    let yes: Target = { value: rule.action }
    for (const condition of [...(rule.conditions ?? [])].reverse()) yes = testCondition(asm, condition, wordBits, yes, otherwise)
    otherwise = yes
  }
  return otherwise
}

/** A balanced tree over `ranges[from]` to `ranges[to - 1]`: some nine comparisons where a list would need hundreds. */
function tree(asm: BackwardAssembler, ranges: readonly Range[], from: number, to: number, wordBits: 32 | 64): Target {
  const middle = from + ((to - from) >> 1)
  const here = ranges[middle]
  if (!here) return { value: actions.KILL_PROCESS }
  if (to - from === 1) return leaf(asm, here.decision, wordBits)
  const [before, after] = [ranges[middle - 1], ranges[middle + 1]]
  const isHole = to - from === 3 && before && after && after.first === here.first + 1 && sameReturn(before.decision, after.decision)
  if (isHole) return asm.branch(bpf.JEQ, here.first, leaf(asm, here.decision, wordBits), { value: before.decision.otherwise })
  const right = tree(asm, ranges, middle, to, wordBits)
  const left = tree(asm, ranges, from, middle, wordBits)
  return asm.branch(bpf.JGE, here.first, right, left)
}

function sameReturn(a: Decision, b: Decision): boolean {
  return a.rules.length + b.rules.length === 0 && a.otherwise === b.otherwise
}

/**
 * Compiles a policy to classic BPF (an array of struct sock_filter, seccomp(2)): the architecture first (another one: the process
 * is killed), then a binary tree over the call's number, then the conditions. More than 4096 instructions: `limit_exceeded`.
 */
export function compileRules(set: RuleSet): Uint8Array {
  const asm = new BackwardAssembler()
  let otherwise: Target = { value: actions.KILL_PROCESS }
  const sections = set.architectures.map((architecture) => ({ architecture, ranges: rangesOf(architecture, set) }))
  const starts: Target[] = []
  for (const { architecture, ranges } of [...sections].reverse()) {
    const start = tree(asm, ranges, 0, ranges.length, callTables[architecture].wordBits)
    if ('value' in start) asm.branch(bpf.JEQ, 0, start, start)
    starts.unshift(asm.load(numberOffset))
  }
  for (const [index, { architecture }] of [...sections.entries()].reverse()) {
    otherwise = asm.branch(bpf.JEQ, callTables[architecture].auditArch, starts[index] ?? otherwise, otherwise)
  }
  asm.load(archOffset)
  return asm.bytes()
}
