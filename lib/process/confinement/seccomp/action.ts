/** What seccomp(2) does with a call: SECCOMP_RET_* of linux/seccomp.h, the errno or the tracer's message in the low 16 bits. */
export const actions = {
  KILL_PROCESS: 0x80000000,
  KILL_THREAD: 0x00000000,
  TRAP: 0x00030000,
  ERRNO: 0x00050000,
  TRACE: 0x7ff00000,
  LOG: 0x7ffc0000,
  ALLOW: 0x7fff0000,
} as const

/** The highest errno that a filter can give (MAX_ERRNO of the kernel); more is cut down to it. */
export const mostErrno = 4095

export function errnoAction(errno: number): number {
  return actions.ERRNO + errno
}

/** Of two actions the one that lets less through, as the kernel decides between two filters; the first where they are of one kind. */
export function stricter(first: number, second: number): number {
  return rank(second) < rank(first) ? second : first
}

/** The kernel's order: the action as a signed number, without its data. */
export function rank(action: number): number {
  return (action & 0xffff0000) | 0
}

/** Is what no rule names let through (as runc sees it, a tracer lets it through too)? */
export function letsThrough(action: number): boolean {
  return rank(action) >= rank(actions.TRACE)
}
