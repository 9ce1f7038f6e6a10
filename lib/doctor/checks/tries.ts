import { StrakeError } from '../../errors/index.ts'
import { flags, layout, type Op } from '../../sys/index.ts'
import { bad, type Check, type CheckResult, good } from '../check.ts'
import type { Machine } from '../machine.ts'

/**
 * Carries out `mounts` in a child of the zygote, in mount, network, ipc and uts namespaces of its own, makes what they mounted on
 * `layout.root` its `/`, then carries out `inside`. Rejects, with `kernel_refused` for an op that failed.
 */
export type TryProgram = (mounts: readonly Op[], inside: readonly Op[]) => Promise<void>

const wholeStore: readonly Op[] = [{ op: 'mount', source: layout.store, target: layout.root, flags: flags.MS.MS_BIND | flags.MS.MS_REC }]

/** A small overlay in the store, as a container's: something of the lower directory is read, something written, something removed. */
function overlayTrial(name: string): { readonly mounts: readonly Op[]; readonly inside: readonly Op[] } {
  const base = `${layout.store}/${name}`
  const directories = [base, ...['lower', 'upper', 'work'].map((each) => `${base}/${each}`)]
  const bytes = Buffer.from('strake\n')
  return {
    mounts: [
      ...directories.map((path): Op => ({ op: 'mkdir', path, mode: 0o700, tolerate: ['EEXIST'] })),
      { op: 'write', path: `${base}/lower/below`, flags: flags.O.O_WRONLY | flags.O.O_CREAT, data: bytes },
      {
        op: 'mount',
        source: 'overlay',
        target: layout.root,
        type: 'overlay',
        data: `lowerdir=${base}/lower,upperdir=${base}/upper,workdir=${base}/work,userxattr`,
      },
    ],
    inside: [
      { op: 'stat', path: '/below' },
      { op: 'write', path: '/above', flags: flags.O.O_WRONLY | flags.O.O_CREAT, data: bytes },
      { op: 'unlink', path: '/below' },
    ],
  }
}

/** An error's first line and what to do: its own hint where it has one that leads further than to this doctor. */
function refused(error: unknown, fix: string): CheckResult {
  const words = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
  const hint = error instanceof StrakeError && error.hint !== undefined && !error.hint.includes('doctor()') ? error.hint : fix
  return bad(words, hint)
}

async function startFix(machine: Machine): Promise<string> {
  const isFiltered = /^Seccomp:\s*2$/m.test((await machine.read('/proc/self/status')) ?? '')
  return isFiltered
    ? 'A seccomp filter of an outer container is in the way: docker run --security-opt seccomp=unconfined'
    : 'Mend first what the checks above found; else look at what the kernel says of it: sudo dmesg | tail'
}

/** What files cannot tell: a zygote is started, and an overlay mounted in the store. */
export function trialChecks(machine: Machine, tryProgram: TryProgram): readonly Check[] {
  let started: Promise<void> | undefined
  const start = (): Promise<void> => {
    started ??= tryProgram(wholeStore, [])
    return started
  }
  const name = `.doctor-${process.pid}-${Date.now().toString(36)}`
  return [
    {
      name: 'a container’s namespaces',
      run: async () => {
        try {
          await start()
          return good('made')
        } catch (error) {
          return refused(error, await startFix(machine))
        }
      },
    },
    {
      name: 'overlay in the store',
      run: async () => {
        try {
          await start()
        } catch {
          return bad('not tried: no namespace can be made', 'Mend that first.')
        }
        const { mounts, inside } = overlayTrial(name)
        try {
          await tryProgram(mounts, inside)
          return good(machine.uid === 0 ? 'works, on an id-mapped mount' : 'works')
        } catch (error) {
          return refused(error, 'Set STRAKE_ROOT to a directory on ext4, xfs, btrfs or tmpfs: export STRAKE_ROOT=/var/tmp/strake')
        } finally {
          await tryProgram(wholeStore, [{ op: 'removeTree', path: `/${name}` }]).catch(() => undefined)
        }
      },
    },
  ]
}
