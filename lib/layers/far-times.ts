import type { Agent } from '../zygote/index.ts'
import type { Time } from './entry.ts'
import { statThrough } from './lower.ts'
import { type ByteString, fromByteString } from './names.ts'

/** Seconds: what any file system keeps. */
const latest = 0x7fff_ffff
const earliest = -0x8000_0000
/** Files that are looked at again: the others of a layer fare as these do. */
const most = 1000

/**
 * Times that some file systems do not keep: the kernel sets the nearest that they do, and says nothing (utimensat(2); ext4 ends in 2446). What has one
 * is looked at once all is written.
 */
export class FarTimes {
  readonly #wanted = new Map<ByteString, number>()

  add(path: Buffer, { sec }: Time): void {
    if ((sec > latest || sec < earliest) && this.#wanted.size < most) this.#wanted.set(path.toString('latin1'), sec)
  }

  /** Tells of each file whose time is another now. */
  async tell(agent: Agent, notice: (path: Buffer, message: string) => void): Promise<void> {
    for (const [path, wanted] of this.#wanted) {
      const record = await statThrough(agent, path)
      if (record === undefined) continue
      const { mtimeSec: sec } = record
      // What took the place of such a file has a time that any file system keeps.
      const isCut = wanted > latest ? sec >= latest && sec < wanted : sec <= earliest && sec > wanted
      if (isCut) notice(fromByteString(path.slice(1) || '/'), messageOf(sec, wanted))
    }
  }
}

function messageOf(sec: number, wanted: number): string {
  const which = wanted > sec ? 'later' : 'earlier'
  return `its time, ${wanted} seconds from 1970, became ${new Date(sec * 1000).toISOString()}: this file system keeps none that is ${which}`
}
