import { readdirSync, readlinkSync } from 'node:fs'
import { checkFlag, optionCheck, StrakeError } from '../errors/index.ts'
import { flags } from '../sys/index.ts'

const { CLONE } = flags

/** Each kind of namespace, as namespaces(7) has them. */
export const namespaceKinds = {
  user: CLONE.CLONE_NEWUSER,
  mount: CLONE.CLONE_NEWNS,
  pid: CLONE.CLONE_NEWPID,
  uts: CLONE.CLONE_NEWUTS,
  ipc: CLONE.CLONE_NEWIPC,
  network: CLONE.CLONE_NEWNET,
  cgroup: CLONE.CLONE_NEWCGROUP,
  time: CLONE.CLONE_NEWTIME,
} as const

export type NamespaceKind = keyof typeof namespaceKinds

/** Which namespaces are new; the others are the caller's. */
export type NamespaceOptions = { readonly [Kind in NamespaceKind]?: boolean | undefined }

const checkKinds = optionCheck<NamespaceOptions>('ns', {
  user: true,
  mount: true,
  pid: true,
  uts: true,
  ipc: true,
  network: true,
  cgroup: true,
  time: true,
})

/** Flags of clone3(2) for the kinds that are asked for. Throws `invalid_argument` for a kind that does not exist. */
export function kindsOf(options: NamespaceOptions): number {
  let clone = 0
  checkKinds(options)
  for (const [kind, wanted] of Object.entries(options)) {
    checkFlag(kind, wanted)
    if (wanted) clone += namespaceKinds[kind as NamespaceKind]
  }
  return clone
}

export interface NamespaceLink {
  /** As /proc/PID/ns names it: `mnt`, `pid_for_children`, … */
  readonly name: string
  /** `mnt:[4026531841]`: two processes with the same are in the same namespace. */
  readonly id: string
}

/** The namespaces that a process is in (proc_pid_ns(5)). Throws `invalid_argument` when there is no such process, or it may not be looked at. */
export function namespacesOfProcess(pid: number | 'self' = 'self'): readonly NamespaceLink[] {
  try {
    return readdirSync(`/proc/${pid}/ns`).map((name) => ({ name, id: readlinkSync(`/proc/${pid}/ns/${name}`) }))
  } catch (cause) {
    throw new StrakeError('invalid_argument', `The namespaces of process ${pid} cannot be read.`, { cause })
  }
}
