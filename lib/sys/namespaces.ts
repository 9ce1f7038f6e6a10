import { flags } from './ops.gen.ts'

/** The names of the namespaces that `clone` asks for, as lsns(8) writes them. */
export function namespacesOf(clone: number): string[] {
  const names: readonly [string, number][] = [
    ['user', flags.CLONE.CLONE_NEWUSER],
    ['pid', flags.CLONE.CLONE_NEWPID],
    ['mnt', flags.CLONE.CLONE_NEWNS],
    ['uts', flags.CLONE.CLONE_NEWUTS],
    ['ipc', flags.CLONE.CLONE_NEWIPC],
    ['net', flags.CLONE.CLONE_NEWNET],
    ['cgroup', flags.CLONE.CLONE_NEWCGROUP],
    ['time', flags.CLONE.CLONE_NEWTIME],
  ]
  return names.filter(([, bit]) => (BigInt(clone) & BigInt(bit)) !== 0n).map(([name]) => name)
}
