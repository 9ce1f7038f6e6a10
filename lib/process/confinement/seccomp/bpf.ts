import { StrakeError } from '../../../errors/index.ts'

/** A place in the program (counted from its end), or a value to return. */
export type Target = { readonly at: number } | { readonly value: number }

interface Instruction {
  readonly code: number
  readonly jt: number
  readonly jf: number
  readonly k: number
}

/** Instruction codes of classic BPF that seccomp(2) takes (linux/bpf_common.h). */
export const bpf = { LD_ABS: 0x20, AND: 0x54, JA: 0x05, JEQ: 0x15, JGT: 0x25, JGE: 0x35, RET: 0x06 } as const

/** Conditional jumps reach this far (their offsets are bytes); JA reaches everywhere. */
const reach = 255
const instructionBytes = 8
/** BPF_MAXINSNS (linux/bpf_common.h). */
const mostInstructions = 4096

/**
 * Writes a classic BPF program from its last instruction to its first: jumps only go forward, so whatever is jumped to has been
 * written already and its distance is known. A place out of a conditional jump's reach is reached over a JA; a value to return is
 * shared with the nearest RET of that value.
 */
export class BackwardAssembler {
  /** The last instruction first. */
  readonly #code: Instruction[] = []
  readonly #returns = new Map<number, number>()

  #push(code: number, k: number, jt = 0, jf = 0): number {
    if (this.#code.length >= mostInstructions) {
      throw new StrakeError('limit_exceeded', `the seccomp profile compiles to more than ${mostInstructions} instructions`, {
        hint: 'join rules: one rule may name many system calls',
        details: { limit: mostInstructions },
      })
    }
    return this.#code.push({ code, jt, jf, k: k >>> 0 }) - 1
  }

  /** The place of `target`, within reach of an instruction that is `room` instructions from being written. */
  #near(target: Target, room: number): number {
    const limit = this.#code.length + room - 1 - reach
    if ('value' in target) {
      const known = this.#returns.get(target.value)
      if (known !== undefined && known >= limit) return known
      const at = this.#push(bpf.RET, target.value)
      this.#returns.set(target.value, at)
      return at
    }
    if (target.at >= limit) return target.at
    return this.#push(bpf.JA, this.#code.length - target.at - 1)
  }

  /** Compares the accumulator with `k`. */
  branch(code: number, k: number, yes: Target, no: Target): Target {
    const yesAt = this.#near(yes, 2)
    const noAt = this.#near(no, 1)
    const here = this.#code.length
    return { at: this.#push(code, k, here - yesAt - 1, here - noAt - 1) }
  }

  /** Puts the 32-bit word at `offset` of struct seccomp_data in the accumulator, then goes on with what was written last. */
  load(offset: number): Target {
    return { at: this.#push(bpf.LD_ABS, offset) }
  }

  /** Ands the accumulator with `mask`, then goes on with what was written last. */
  and(mask: number): Target {
    return { at: this.#push(bpf.AND, mask) }
  }

  /** The program as an array of struct sock_filter (linux/filter.h), little-endian. */
  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.#code.length * instructionBytes)
    const view = new DataView(bytes.buffer)
    for (const [index, { code, jt, jf, k }] of this.#code.entries()) {
      const at = bytes.length - (index + 1) * instructionBytes
      view.setUint16(at, code, true)
      view.setUint8(at + 2, jt)
      view.setUint8(at + 3, jf)
      view.setUint32(at + 4, k, true)
    }
    return bytes
  }
}
