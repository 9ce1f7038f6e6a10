import path from 'node:path'
import { bad, type Check, good } from '../check.ts'
import { isKernel, type Machine, sudo } from '../machine.ts'

/** Magic numbers of statfs(2) whose file systems cannot hold what containers write. */
const unfit: ReadonlyMap<number, string> = new Map([
  [0x794c7630, 'overlayfs'],
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x01021997, '9p'],
  [0x65735546, 'FUSE'],
  [0x4d44, 'FAT'],
  [0x2011bab0, 'exFAT'],
  [0x5346544e, 'NTFS'],
  [0xf15f, 'eCryptfs'],
  [0x858458f6, 'ramfs'],
  [0x73717368, 'squashfs'],
  [0x9660, 'ISO 9660'],
  [0xe0f5e1e2, 'EROFS'],
])

const fit: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs'],
  [0xf2f52010, 'f2fs'],
  [0xca451a4e, 'bcachefs'],
  [0x2fc12fc1, 'zfs'],
])

const elsewhere = 'Set STRAKE_ROOT to a directory on ext4, xfs, btrfs or tmpfs: export STRAKE_ROOT=/var/tmp/strake'

/** The nearest directory above `root`, or itself, that is there. */
async function existing(machine: Machine, root: string): Promise<string> {
  for (let at = root; ; at = path.dirname(at)) if (at === path.dirname(at) || (await machine.stat(at))) return at
}

/** The place where images and containers are kept. */
export function storeChecks(machine: Machine, root: string): readonly Check[] {
  return [
    {
      name: 'store',
      run: async () => {
        const place = await existing(machine, root)
        const owner = (await machine.stat(place))?.uid
        if (place === root && owner !== machine.uid) {
          return bad(
            `${root} belongs to uid ${owner}`,
            `Set STRAKE_ROOT to a directory of your own, or: ${sudo(machine)}chown -R ${machine.uid} ${root}`,
          )
        }
        if (await machine.isWritable(place)) return good(place === root ? root : `${root} (not made yet)`)
        return bad(`${place} cannot be written to`, 'Set STRAKE_ROOT to a directory that you may write to: export STRAKE_ROOT=$HOME/strake')
      },
    },
    {
      name: 'file system of the store',
      run: async () => {
        const type = (await machine.fileSystem(await existing(machine, root))) ?? 0
        // On Node 20 statfs gives 32 bits as a signed number.
        const magic = type < 0 ? type + 2 ** 32 : type
        const wrong = unfit.get(magic)
        if (wrong) return bad(`${wrong}: containers cannot write on it`, elsewhere)
        const name = fit.get(magic) ?? `of kind 0x${magic.toString(16)}`
        if (name !== 'tmpfs' || isKernel(machine, 6, 6)) return good(name)
        return bad(
          'tmpfs, which before Linux 6.6 keeps no user.* attributes: replaced directories show what they replaced',
          elsewhere.replace(' or tmpfs', ''),
        )
      },
    },
  ]
}
