import { type BackwardAssembler, bpf, type Target } from './bpf.ts'

export const comparisons = ['NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ'] as const
export type Comparison = (typeof comparisons)[number]

/** What an argument of a system call must be, as an unsigned number. */
export interface Condition {
  /** 0 to 5. */
  readonly index: number
  readonly compare: Comparison
  readonly value: bigint
  /** MASKED_EQ: (argument & mask) == value. */
  readonly mask?: bigint
  /** 32: the kernel takes an int and ignores the upper half, so the comparison must too. */
  readonly bits?: 32 | 64
}

/** Offset of args[0] in struct seccomp_data; the upper word follows the lower one (both architectures are little-endian). */
const firstArgument = 16

const low = (value: bigint): number => Number(value & 0xffffffffn)
const high = (value: bigint): number => Number((value >> 32n) & 0xffffffffn)

function equal(asm: BackwardAssembler, condition: Condition, wide: boolean, yes: Target, no: Target): Target {
  const mask = condition.mask ?? 0xffffffff_ffffffffn
  const word = (offset: number, bits: number, value: number, then: Target): Target => {
    if (bits === 0) return value === 0 ? then : no
    asm.branch(bpf.JEQ, value, then, no)
    if (bits !== 0xffffffff) asm.and(bits)
    return asm.load(offset)
  }
  const offset = firstArgument + 8 * condition.index
  const lower = word(offset, low(mask), low(condition.value), yes)
  return wide ? word(offset + 4, high(mask), high(condition.value), lower) : lower
}

function greater(asm: BackwardAssembler, condition: Condition, wide: boolean, yes: Target, no: Target): Target {
  const offset = firstArgument + 8 * condition.index
  asm.branch(condition.compare === 'GT' || condition.compare === 'LE' ? bpf.JGT : bpf.JGE, low(condition.value), yes, no)
  const lower = asm.load(offset)
  if (!wide) return lower
  const same = asm.branch(bpf.JEQ, high(condition.value), lower, no)
  asm.branch(bpf.JGT, high(condition.value), yes, same)
  return asm.load(offset + 4)
}

/** Writes the test of one condition: goes to `yes` where it holds, to `no` where not. `wordBits`: of the architecture's arguments. */
export function testCondition(asm: BackwardAssembler, condition: Condition, wordBits: 32 | 64, yes: Target, no: Target): Target {
  const wide = wordBits === 64 && condition.bits !== 32
  switch (condition.compare) {
    case 'EQ':
    case 'MASKED_EQ':
      return equal(asm, condition, wide, yes, no)
    case 'NE':
      return equal(asm, condition, wide, no, yes)
    case 'GT':
    case 'GE':
      return greater(asm, condition, wide, yes, no)
    case 'LT':
    case 'LE':
      return greater(asm, condition, wide, no, yes)
  }
}
