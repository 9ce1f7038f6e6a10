import { StrakeError } from '../../errors/index.ts'
import { bad, type Check, good } from '../check.ts'
import { isKernel, type Machine, sudo } from '../machine.ts'

const enoughFiles = 4096
/** What Node has open itself, and what one start takes for a moment. */
const fewestFiles = 40

/** Is the native part there, and does it load? */
export type LoadNative = () => void

/** The system that everything stands on. */
export function kernelChecks(machine: Machine, loadNative: LoadNative): readonly Check[] {
  const wanted: readonly [number, number] = machine.uid === 0 ? [5, 19] : [5, 12]
  return [
    {
      name: 'system',
      run: () => {
        if (machine.platform !== 'linux') {
          const fix =
            machine.platform === 'win32'
              ? 'Run Node in WSL 2: wsl --install'
              : 'Run Node in a Linux virtual machine: brew install lima && limactl start'
          return bad(`${machine.platform}: containers need Linux`, fix)
        }
        if (!['x64', 'arm64'].includes(machine.arch))
          return bad(`Linux on ${machine.arch}`, 'Use a machine with an x64 or arm64 processor.')
        return good(`Linux on ${machine.arch}`)
      },
    },
    {
      name: 'kernel',
      run: () =>
        isKernel(machine, ...wanted)
          ? good(machine.release)
          : bad(
              `${machine.release}, and ${wanted.join('.')} is needed`,
              `Upgrade the system to one with Linux ${wanted.join('.')} or later (Debian 12, Ubuntu 24.04, Fedora 38, …).`,
            ),
    },
    {
      name: 'native part',
      run: () => {
        try {
          loadNative()
          return good('loads')
        } catch (error) {
          const words = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
          return bad(words, (error instanceof StrakeError && error.hint) || 'Install the package anew: npm install strake')
        }
      },
    },
    {
      name: 'open files',
      needed: false,
      run: async () => {
        const limits = (await machine.read('/proc/self/limits')) ?? ''
        const [, soft = '', hard = ''] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(limits) ?? []
        if (soft === 'unlimited' || Number(soft) >= enoughFiles) return good(`${soft} at once`)
        if (soft === '') return good('no limit is known')
        const fix =
          hard === 'unlimited' || Number(hard) >= enoughFiles
            ? `ulimit -n ${enoughFiles}`
            : `echo '${machine.user ?? `${machine.uid}:${machine.uid}`} hard nofile 65536' | ${sudo(machine)}tee /etc/security/limits.d/60-strake.conf (then log in anew)`
        return { ...bad(`${soft} at once: a container takes about ten`, fix), needed: Number(soft) < fewestFiles }
      },
    },
  ]
}
