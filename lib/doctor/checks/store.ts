import path from 'node:path'
import type { StrakeError } from '../../errors/index.ts'
import { takeOverCommand } from '../../store/index.ts'
import { bad, type Check, type CheckResult, good } from '../check.ts'
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

/** What calls read and write in a store; `` is the store itself. */
const used = [
  '',
  'cache',
  'containers',
  'content',
  'content/blobs',
  'content/index.json',
  'ids.json',
  'locks',
  'snapshots',
  'tmp',
  'volumes',
]

function unwritable(place: string): CheckResult {
  return bad(`${place} cannot be written to`, 'Set STRAKE_ROOT to a directory that you may write to: export STRAKE_ROOT=$HOME/strake')
}

/** Of a user that has no place for a store. Nothing is tried in it then. */
export function noStoreChecks({ message, hint = elsewhere }: StrakeError): readonly Check[] {
  return [{ name: 'store', run: async () => bad(message, hint) }]
}

/** The place where images and containers are kept. */
export function storeChecks(machine: Machine, root: string): readonly Check[] {
  return [
    {
      name: 'store',
      run: async () => {
        const place = await existing(machine, root)
        if (place !== root) return (await machine.isWritable(place)) ? good(`${root} (not made yet)`) : unwritable(place)
        const owner = (await machine.stat(root))?.uid
        // What root writes in the store of another is root's from then on.
        if (machine.uid === 0 && owner !== 0) {
          return bad(`${root} belongs to uid ${owner}, who could not use it any more`, 'Set STRAKE_ROOT to a directory of root’s own.')
        }
        for (const each of used.map((name) => path.join(root, name))) {
          const found = await machine.stat(each)
          if (found === undefined || (await machine.isWritable(each))) continue
          if (found.uid === machine.uid) return unwritable(each)
          return bad(
            `${each} belongs to uid ${found.uid}, and this user may not use it`,
            `${sudo(machine)}${takeOverCommand(root, found.uid, machine.uid)} (or set STRAKE_ROOT to a directory of your own)`,
          )
        }
        return good(root)
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
