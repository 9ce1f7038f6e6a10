import { constants } from 'node:os'
import { binding } from '../../native/binding.ts'

/** flock(2). */
const exclusive = 2
const nonBlocking = 4
const unlock = 8

/** Takes the lock of an open file without waiting: undefined where its file system has none for it, as NFS for directories. It ends with the process. */
export function tryFlock(fd: number): boolean | undefined {
  const errno = binding().flock(fd, exclusive | nonBlocking)
  return errno === 0 ? true : errno === constants.errno.EAGAIN ? false : undefined
}

/** Gives it back, whoever has inherited the descriptor meanwhile. */
export function releaseFlock(fd: number): void {
  binding().flock(fd, unlock)
}
