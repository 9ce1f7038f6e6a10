import { findSubids, type IdRange, idCount, idRange } from '../../ids/index.ts'
import { bad, type Check, type CheckResult, good } from '../check.ts'
import { type Machine, type Mount, mountsOf, sudo } from '../machine.ts'

const firstSubid = 100_000
const subids = 65_536

/** The command that installs newuidmap(1), for the distributions that are told by os-release(5). */
async function installFix(machine: Machine): Promise<string> {
  const release = (await machine.read('/etc/os-release')) ?? ''
  const ids = [...release.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap((match) => (match[1] ?? '').split(' '))
  const packages: Readonly<Record<string, string>> = {
    debian: 'apt-get install -y uidmap',
    ubuntu: 'apt-get install -y uidmap',
    alpine: 'apk add shadow-uidmap',
    fedora: 'dnf install -y shadow-utils',
    rhel: 'dnf install -y shadow-utils',
    arch: 'pacman -S --needed shadow',
    suse: 'zypper install -y shadow',
  }
  const known = ids.find((id) => Object.hasOwn(packages, id))
  return known === undefined
    ? 'Install newuidmap and newgidmap: the package is called uidmap, shadow or shadow-utils.'
    : `${sudo(machine)}${packages[known]}`
}

/**
 * The command that gives the user as many ids as a container expects, behind those that others have. newuidmap(1) does nothing for a uid without
 * a name, nor where the gid is not that of passwd(5): such a user gets a line there, too.
 */
async function subidFix(machine: Machine): Promise<string> {
  const files = await Promise.all(['/etc/subuid', '/etc/subgid'].map((path) => machine.read(path)))
  const ends = [...files.join('\n').matchAll(/^[^:\n]*:(\d{1,10}):(\d{1,10})$/gm)].map((match) => Number(match[1]) + Number(match[2]))
  const first = Math.max(firstSubid, ...ends.filter((end) => end < 2 ** 31))
  const range = `${first}-${first + subids - 1}`
  if (machine.user === undefined) {
    const { uid, gid } = machine
    const line = `${uid}:${first}:${subids}`
    return `${sudo(machine)}sh -c 'echo strake-${uid}:x:${uid}:${gid}::/:/bin/sh >>/etc/passwd; echo ${line} >>/etc/subuid; echo ${line} >>/etc/subgid'`
  }
  return `${sudo(machine)}usermod --add-subuids ${range} --add-subgids ${range} ${machine.user}`
}

/** The mount that a path is on: of those above it the one that is deepest, and of several there the last. */
async function mountOf(machine: Machine, path: string): Promise<Mount | undefined> {
  const isAbove = ({ target }: Mount): boolean => target === '/' || path === target || path.startsWith(`${target}/`)
  const above = (await mountsOf(machine)).filter(isAbove)
  return above.reduce<Mount | undefined>((best, each) => (best && best.target.length > each.target.length ? best : each), undefined)
}

async function mapper(machine: Machine, command: string): Promise<CheckResult> {
  const path = machine.which(command)
  if (path === undefined) return bad('newuidmap and newgidmap are not installed', await installFix(machine))
  const mount = await mountOf(machine, path)
  if (mount?.options.includes('nosuid')) {
    return bad(
      `${path} has no privileges on ${mount.target}, which is mounted nosuid`,
      `${sudo(machine)}mount -o remount,bind,suid ${mount.target}`,
    )
  }
  const file = await machine.stat(path)
  const isSetuid = file !== undefined && (file.mode & 0o4000) !== 0 && file.uid === 0
  if (isSetuid || /cap_set[ug]id/.test(await machine.output('getcap', [path]))) return good(path)
  return bad(`${path} has no privileges`, `sudo chmod u+s ${path}`)
}

const capSetfcap = 31n
const capSysAdmin = 21n

/**
 * What uid 0 must be able to do itself: with ids of its own, mount the store with mapped ids (mount_setattr(2)); with the one that it has, map
 * it (user_namespaces(7)). In many containers root cannot.
 */
async function rootCapabilities(machine: Machine, kind: IdRange['kind']): Promise<CheckResult> {
  const [, digits] = /^CapEff:\s*([0-9a-f]+)$/m.exec((await machine.read('/proc/self/status')) ?? '') ?? []
  const [bit, name, purpose] =
    kind === 'root'
      ? ([capSysAdmin, 'SYS_ADMIN', 'to mount the store with mapped ids'] as const)
      : ([capSetfcap, 'SETFCAP', 'to map its own id'] as const)
  if (digits === undefined || ((BigInt(`0x${digits}`) >> bit) & 1n) === 1n) return good('enough')
  const options = ['seccomp', 'apparmor', 'systempaths'].map((each) => `--security-opt ${each}=unconfined`).join(' ')
  return bad(
    `this process is uid 0 without CAP_${name}, which it needs ${purpose}`,
    `Run Node as an ordinary user; or start the outer container with: docker run --cap-add ${name} ${options}`,
  )
}

/** How many ids containers get. With one alone they run too, but for what needs a second user. */
export function idChecks(machine: Machine): readonly Check[] {
  const read = (path: string): Promise<string | undefined> => machine.read(path)
  const ids = (): Promise<IdRange> =>
    idRange({
      machine: {
        uid: machine.uid,
        gid: machine.gid,
        name: machine.user,
        read,
        which: (command) => machine.which(command),
        subids: (kind, uid, name) => findSubids(kind, uid, name, read),
      },
    })
  if (machine.uid === 0) {
    return [
      { name: 'capabilities of root', run: async () => rootCapabilities(machine, (await ids()).kind) },
      {
        name: 'ids',
        needed: false,
        run: async () => {
          const { range, problems } = await ids()
          const words = range ? `${range.count} from ${range.first}` : 'one'
          return problems.length === 0
            ? good(words)
            : bad(problems.join('; '), 'Start the outer container with more ids and with CAP_SETUID and CAP_SETGID.')
        },
      },
    ]
  }
  return [
    {
      name: 'ids',
      needed: false,
      run: async () => {
        const { kind, uidMap, problems } = await ids()
        if (kind === 'subid' && idCount(uidMap) >= subids)
          return good(`${idCount(uidMap)}: yours, and those of /etc/subuid and /etc/subgid`)
        if (kind === 'subid') return bad(`${idCount(uidMap)}, and programs expect ${subids}`, await subidFix(machine))
        const isForbidden = problems.some((problem) => problem.includes('no_new_privs'))
        const isMissing = problems.some((problem) => /gives no ids|has no name/.test(problem))
        const fix = isForbidden
          ? 'Start Node without no_new_privs (systemd: NoNewPrivileges=no; docker run without --security-opt no-new-privileges).'
          : isMissing || machine.which('newuidmap') !== undefined
            ? await subidFix(machine)
            : await installFix(machine)
        return bad(`one, yours: ${problems.join('; ')}`, fix)
      },
    },
    { name: 'newuidmap', needed: false, run: () => mapper(machine, 'newuidmap') },
    { name: 'newgidmap', needed: false, run: () => mapper(machine, 'newgidmap') },
  ]
}
