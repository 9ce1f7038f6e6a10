import { armCalls } from './arm.ts'
import { arm64Calls } from './arm64.ts'
import { i386Calls } from './i386.ts'
import { x64Calls } from './x64.ts'

export type Architecture = 'x64' | 'arm64'
/** An architecture whose system calls a filter can tell apart: the two that the library runs on, and the 32-bit mode of each. */
export type CallArchitecture = Architecture | 'i386' | 'arm'

export type SyscallName = Extract<
  (typeof x64Calls)[number] | (typeof i386Calls)[number] | (typeof arm64Calls)[number] | (typeof armCalls)[number],
  string
>

export interface CallTable {
  /** AUDIT_ARCH_*, which seccomp_data.arch holds (linux/audit.h). */
  readonly auditArch: number
  /** Bits of a system call's argument. */
  readonly wordBits: 32 | 64
  readonly numbers: ReadonlyMap<string, number>
}

function numbersOf(list: readonly (string | number)[]): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>()
  let next = 0
  for (const item of list) {
    if (typeof item === 'number') next = item
    else numbers.set(item, next++)
  }
  return numbers
}

export const callTables: Readonly<Record<CallArchitecture, CallTable>> = {
  x64: { auditArch: 0xc000003e, wordBits: 64, numbers: numbersOf(x64Calls) },
  i386: { auditArch: 0x40000003, wordBits: 32, numbers: numbersOf(i386Calls) },
  arm64: { auditArch: 0xc00000b7, wordBits: 64, numbers: numbersOf(arm64Calls) },
  arm: { auditArch: 0x40000028, wordBits: 32, numbers: numbersOf(armCalls) },
}

/** The 32-bit mode that a kernel of the architecture may run as well. */
export const compatOf: Readonly<Record<Architecture, CallArchitecture>> = { x64: 'i386', arm64: 'arm' }

/** Calls that only other architectures have: a profile for all of them may name these. */
// biome-ignore format: a table
const foreignCalls: readonly string[] = [
  'atomic_barrier', 'atomic_cmpxchg_32', 'cachectl', 'getpagesize', 'multiplexer', 'riscv_flush_icache', 'riscv_hwprobe', 'rtas',
  's390_guarded_storage', 's390_pci_mmio_read', 's390_pci_mmio_write', 's390_runtime_instr', 's390_sthyi', 'spu_create', 'spu_run',
  'subpage_prot', 'swapcontext', 'switch_endian', 'sync_file_range2', 'syscall', 'sys_debug_setcontext', 'sysmips', 'timerfd',
]

/** Is there a system call of this name on any architecture that Linux 7.1 has? */
export function isSyscallName(name: string): boolean {
  return Object.values(callTables).some((table) => table.numbers.has(name)) || foreignCalls.includes(name)
}
