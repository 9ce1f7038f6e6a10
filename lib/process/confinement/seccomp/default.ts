import { errnoNumbers } from '../../../sys/index.ts'
import type { CapabilityName } from '../capabilities.ts'
import { actions, errnoAction } from './action.ts'
import { allowedCalls, capabilityCalls } from './allowed.ts'
import type { SyscallName } from './architectures.ts'
import type { Rule } from './compile.ts'
import type { Condition } from './condition.ts'

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: what clone(2) may not be asked for. */
const namespaceFlags = 0x7e020000n

/** Execution domains that do no harm: Linux's own, its 32-bit kin, UNAME26 with either, and the question which one it is. */
const personalities = [0x0n, 0x0008n, 0x20000n, 0x20008n, 0xffffffffn]

/** Address families that are refused: 38, AF_ALG (the kernel's crypto by sockets), and 40, AF_VSOCK (a virtual machine's host). */
const allowedFamilies: readonly Omit<Condition, 'index' | 'bits'>[] = [
  { compare: 'LT', value: 38n },
  { compare: 'EQ', value: 39n },
  { compare: 'GT', value: 40n },
]

function allow(name: SyscallName, condition: Condition): Rule {
  return { names: [name], action: actions.ALLOW, conditions: [condition] }
}

/**
 * The rules of Docker's default profile for a container with these capabilities, in one point stricter: the address family of
 * socket(2) is compared as the int that the kernel takes it for, so that 2^32 + 38 is AF_ALG here as it is there.
 * clone3(2), whose flags lie in memory that a filter cannot see, answers ENOSYS: the C library then uses clone(2).
 */
export function defaultRules(capabilities: readonly CapabilityName[]): readonly Rule[] {
  const rules: Rule[] = [{ names: allowedCalls, action: actions.ALLOW }]
  for (const capability of capabilities) rules.push({ names: capabilityCalls[capability] ?? [], action: actions.ALLOW })
  for (const value of personalities) rules.push(allow('personality', { index: 0, compare: 'EQ', value }))
  for (const family of allowedFamilies) rules.push(allow('socket', { index: 0, bits: 32, ...family }))
  if (!capabilities.includes('CAP_SYS_ADMIN')) {
    rules.push(allow('clone', { index: 0, compare: 'MASKED_EQ', mask: namespaceFlags, value: 0n }))
    rules.push({ names: ['clone3'], action: errnoAction(errnoNumbers.ENOSYS) })
  }
  return rules
}

/** What Docker's default profile answers to a call that it does not name. */
export const defaultFallback = errnoAction(errnoNumbers.EPERM)
