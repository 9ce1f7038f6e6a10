import { bad, type Check, type CheckResult, good } from '../check.ts'
import { type Machine, type Mount, mountsOf, sudo, sysctlFix } from '../machine.ts'

/** Mount points that the kernel keeps empty: what is mounted there hides nothing. */
// biome-ignore format: a table
const emptyByNature = [
  '/proc/sys/fs/binfmt_misc', '/proc/fs/nfsd', '/proc/xen', '/sys/fs/cgroup', '/sys/fs/bpf', '/sys/fs/pstore', '/sys/fs/selinux',
  '/sys/fs/smackfs', '/sys/fs/fuse/connections', '/sys/kernel/security', '/sys/kernel/debug', '/sys/kernel/tracing', '/sys/kernel/config',
  '/sys/firmware/efi/efivars',
]
const kinds = ['user', 'pid', 'mnt', 'uts', 'ipc', 'net', 'cgroup'] as const
/** A few containers' worth. */
const fewest = 100
const usualMost = 28_633

/** An AppArmor profile that allows Node, and nobody else, to make user namespaces (Ubuntu 23.10 and later). */
function appArmorFix(machine: Machine): string {
  const file = '/etc/apparmor.d/strake-node'
  const profile = `abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile strake-node "${machine.execPath}" flags=(unconfined) {\\n  userns,\\n}\\n`
  return `printf '${profile}' | ${sudo(machine)}tee ${file} && ${sudo(machine)}apparmor_parser -r ${file} (then start Node anew)`
}

async function number(machine: Machine, path: string): Promise<number | undefined> {
  const text = await machine.read(path)
  return text === undefined ? undefined : Number(text.trim())
}

async function confinement(machine: Machine): Promise<string> {
  const text = (await machine.read('/proc/self/attr/apparmor/current')) ?? (await machine.read('/proc/self/attr/current')) ?? ''
  return text.replaceAll('\0', '').trim()
}

async function userNamespaces(machine: Machine): Promise<CheckResult> {
  const isRoot = machine.uid === 0
  if (!isRoot && (await number(machine, '/proc/sys/kernel/unprivileged_userns_clone')) === 0) {
    return bad('forbidden to ordinary users (kernel.unprivileged_userns_clone)', sysctlFix(machine, 'kernel.unprivileged_userns_clone', 1))
  }
  const isRestricted = !isRoot && (await number(machine, '/proc/sys/kernel/apparmor_restrict_unprivileged_userns')) === 1
  if (isRestricted && ['unconfined', ''].includes(await confinement(machine))) {
    return bad('AppArmor takes their rights from ordinary users’ programs (Ubuntu 23.10 and later)', appArmorFix(machine))
  }
  if ((await machine.read('/proc/self/uid_map')) === undefined) return bad('this kernel has none', 'Use a kernel with CONFIG_USER_NS.')
  return good('allowed')
}

/** May this process make the namespaces that a container lives in? From files alone; whether it works is tried elsewhere. */
export function namespaceChecks(machine: Machine): readonly Check[] {
  return [
    { name: 'user namespaces', run: () => userNamespaces(machine) },
    {
      name: 'limits of namespaces',
      run: async () => {
        for (const kind of kinds) {
          const most = await number(machine, `/proc/sys/user/max_${kind}_namespaces`)
          if (most !== undefined && most < fewest)
            return bad(`${most} ${kind} namespaces for a user`, sysctlFix(machine, `user.max_${kind}_namespaces`, usualMost))
        }
        return good('high enough')
      },
    },
    {
      name: 'seccomp',
      run: async () => {
        const available = (await machine.read('/proc/sys/kernel/seccomp/actions_avail'))?.split(/\s+/) ?? []
        const isThere = ['kill_process', 'errno', 'allow'].every((action) => available.includes(action))
        return isThere
          ? good('filters are available')
          : bad('this kernel has no seccomp filters', 'Use a kernel with CONFIG_SECCOMP_FILTER.')
      },
    },
    {
      name: '/proc in full sight',
      // A guess from the list of mounts; whether it stands in the way shows when namespaces are made.
      needed: false,
      run: async () => {
        const mounts = await mountsOf(machine)
        const covered = [...coversOf(mounts, 'proc'), ...coversOf(mounts, 'sysfs')]
        if (covered.length === 0) return good('nothing covers parts of it')
        const shown = `${covered.slice(0, 3).join(', ')}${covered.length > 3 ? ', …' : ''}`
        return bad(
          `covered in part (${shown}): containers inside this one get no /proc`,
          'Start the outer container with: docker run --security-opt systempaths=unconfined (podman run --security-opt unmask=ALL)',
        )
      },
    },
  ]
}

/** What is mounted over parts of every proc or sysfs here: while one is whole, a user namespace may mount another (mount_namespaces(7)). */
function coversOf(mounts: readonly Mount[], type: 'proc' | 'sysfs'): readonly string[] {
  const isUnder = (target: string, directory: string): boolean => target.startsWith(`${directory}/`)
  const covers = mounts
    .filter((mount) => mount.type === type && mount.root === '/')
    .map(({ target }) => mounts.map((other) => other.target).filter((other) => isUnder(other, target) && !isEmptyByNature(other)))
  return covers.some((each) => each.length === 0) ? [] : (covers[0] ?? [`no ${type} is mounted`])
}

function isEmptyByNature(target: string): boolean {
  return emptyByNature.some((directory) => target === directory || target.startsWith(`${directory}/`))
}
