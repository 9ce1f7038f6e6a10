import type { PrivateUsers } from '../ids/index.ts'
import { enterRootOps, freshUpper, overlayOps, preparedOps } from '../rootfs/index.ts'
import { flags, layout, type Op, Plan, type Program } from '../sys/index.ts'
import { beforeCommand, commandOps, confinementOf, makeDirectories, processLimit } from './command.ts'
import { capabilityMask } from './confinement/index.ts'
import type { CommandSpec, ContainerSpec, IdKind } from './spec.ts'

const { CLONE } = flags
const ownNamespaces = CLONE.CLONE_NEWPID + CLONE.CLONE_NEWNS + CLONE.CLONE_NEWUTS + CLONE.CLONE_NEWIPC
const oneProcess = CLONE.CLONE_VM | CLONE.CLONE_VFORK

function joinCgroups(count: number): Op[] {
  const joins = Array.from({ length: count }, (_, index): Op => ({ op: 'writeFd', fd: `cgroup${index}`, data: Buffer.from('0') }))
  return [...joins, { op: 'unshare', flags: CLONE.CLONE_NEWCGROUP }]
}

/** The first ops in a user namespace of its own: uid 0 of it, and out of everybody's sight, as the zygote is. */
function enterUsers({ uidMap, gidMap, owner, processes }: PrivateUsers): Op[] {
  return [
    { op: 'userns', uidMap, gidMap, owner, processes: processes ?? 0 },
    ...(owner === 0 ? [] : ([{ op: 'setResUid', real: 0, effective: 0, saved: 0 }] satisfies Op[])),
    { op: 'setDumpable', value: 0 },
  ]
}

const privately = new WeakMap<readonly Op[], Map<string, readonly Op[]>>()

/** The same namespace and the same list give the very same list. */
function preparedPrivately(users: PrivateUsers, prepared: readonly Op[]): readonly Op[] {
  const lists = privately.get(prepared) ?? new Map<string, readonly Op[]>()
  privately.set(prepared, lists)
  const key = users.uidMap + users.gidMap
  const ops = lists.get(key) ?? [...enterUsers(users), ...prepared]
  lists.set(key, ops)
  return ops
}

/**
 * What is the same for all containers of these choices: carried out ahead of time by the zygote's spares. One with a user namespace of an
 * owner of its own is like no other from its clone on, so nothing of it is.
 */
export function preparedProgram(
  spec: Pick<ContainerSpec, 'network' | 'shmSize' | 'ids' | 'users' | 'maskedPaths' | 'readonlyPaths' | 'command'>,
): Program {
  const prepared = preparedOps({
    network: spec.network === 'host' ? 'host' : 'own',
    shmSize: spec.shmSize,
    hasGroups: spec.ids !== 'single',
    maskedPaths: spec.maskedPaths,
    readonlyPaths: spec.readonlyPaths,
    bounding: capabilityMask(spec.command.capabilities),
  })
  const { users } = spec
  const clone = ownNamespaces + (spec.network === 'host' ? 0 : CLONE.CLONE_NEWNET) + (users ? CLONE.CLONE_NEWUSER : 0)
  if (!users) return { clone, prepared, ops: [] }
  if (users.owner === 0) return { clone, prepared: preparedPrivately(users, prepared), ops: [] }
  return { clone, ops: [...enterUsers(users), ...prepared] }
}

/** Where /etc/hostname is the image's own, no mount point stands in for one that the image lacks. */
function scaffoldOf({ files }: ContainerSpec): string {
  return files.hostname === undefined ? layout.buildScaffold : layout.scaffold
}

/**
 * The program of a container: namespaces, root, confinement, then the command as a child of PID 1, which reaps and passes
 * signals on. A pure function: the same spec gives the same program, on any machine. Throws `invalid_argument`,
 * `limit_exceeded`.
 */
export function planOf(spec: ContainerSpec): Plan {
  const { clone, prepared, ops: first } = preparedProgram(spec)
  // By clone3(2): after an unshare(2) only children are in a new time namespace, which may not share memory with their parent.
  const time = spec.time ? CLONE.CLONE_NEWTIME : 0
  const { command } = spec
  const confinement = confinementOf(command, spec.ids, spec.arch)
  const { upper, work, ops: upperOps } = freshUpper(spec.directory, spec.work)
  const ops: Op[] = [
    ...first,
    ...joinCgroups(spec.cgroups),
    { op: 'setHostname', name: spec.hostname },
    ...(spec.domainname === undefined ? [] : ([{ op: 'setDomainname', name: spec.domainname }] satisfies Op[])),
    ...upperOps,
    ...overlayOps({ lowers: spec.layers, upper, work, volatile: spec.volatile, scaffold: scaffoldOf(spec) }),
    ...enterRootOps(spec.files, { readonly: spec.readonlyRoot, mounts: spec.mounts }),
    ...spec.directories.flatMap(makeDirectories),
    ...beforeCommand(command),
    ...confinement.early,
    ...processLimit(command.processes),
    { op: 'fork', flags: oneProcess, main: 1, ops: commandOps(command, spec.ids, confinement) },
    { op: 'started' },
    // PID 1 keeps what passing signals on to another user needs, and nothing else.
    { op: 'capSet', effective: capabilityMask(['CAP_KILL']), permitted: capabilityMask(['CAP_KILL']), inheritable: 0 },
    ...confinement.late,
    { op: 'init' },
  ]
  return new Plan({ clone: clone + time, ops, ...(prepared ? { prepared } : {}) })
}

/** What else an exec in a running container depends on. */
export interface ExecSpec {
  /** The container's number at its agent (`Child.id`). */
  readonly container: number
  readonly cgroups: number
  readonly ids: IdKind
  readonly arch: 'x64' | 'arm64'
  readonly hasNetwork: boolean
  readonly time: boolean
  /** The container has a user namespace of its own. */
  readonly hasUsers?: boolean | undefined
  readonly command: CommandSpec
}

/**
 * Enters the user namespace of a container that has one of its own: the command alone does. The copy of the zygote that waits for it stays
 * outside, where nobody inside has rights over it, and where it may name the command's pid to the owner. With the namespace every
 * capability comes, so that what takes them away follows here.
 */
function joinUsers(): Op[] {
  return [{ op: 'setns', fd: 'container', flags: CLONE.CLONE_NEWUSER }]
}

/**
 * The program of one more command in a running container. A copy of the zygote enters the namespaces; the command is its
 * sibling (CLONE_PARENT), since a pid namespace is entered by children only.
 */
export function execPlan(spec: ExecSpec): Plan {
  const confinement = confinementOf(spec.command, spec.ids, spec.arch)
  const namespaces =
    ownNamespaces + CLONE.CLONE_NEWCGROUP + (spec.hasNetwork ? CLONE.CLONE_NEWNET : 0) + (spec.time ? CLONE.CLONE_NEWTIME : 0)
  const joins = joinCgroups(spec.cgroups).slice(0, spec.cgroups)
  const confine: Op[] = [{ op: 'capBounding', keep: capabilityMask(spec.command.capabilities) }, ...confinement.early]
  const command = commandOps(spec.command, spec.ids, confinement)
  return new Plan({
    clone: 0,
    ops: [
      ...joins,
      ...(spec.hasUsers ? ([{ op: 'openChild', child: spec.container, out: 'container' }] satisfies Op[]) : []),
      { op: 'join', child: spec.container, flags: namespaces },
      ...beforeCommand(spec.command),
      ...(spec.hasUsers ? [] : confine),
      {
        op: 'fork',
        flags: oneProcess | CLONE.CLONE_PARENT,
        main: 1,
        ops: [...(spec.hasUsers ? [...joinUsers(), ...processLimit(spec.command.processes), ...confine] : []), ...command],
      },
      { op: 'started' },
    ],
  })
}
