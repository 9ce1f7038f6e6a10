import { StrakeError } from '../errors/index.ts'

/** Ops that take room on a disk. Of the others ENOSPC has another meaning: namespaces, cgroups, an attribute that no block holds. */
const writingOps: ReadonlySet<unknown> = new Set(
  'mkdir mknod symlink link rename unlink removeTree open write truncate put chown chmod setTimes syncFs mount fsconfig'.split(' '),
)

function reasonOf(error: unknown): unknown {
  if (error instanceof StrakeError)
    return error.code === 'kernel_refused' && writingOps.has(error.details?.op) ? error.details?.errno : undefined
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/**
 * What a failure is called by whoever writes to the store: `store_full` where the disk or the user's quota is used up, `store_invalid` where the
 * file system has become read-only, `limit_exceeded` where this process may open no more files or write no larger ones, be it told by Node or by an
 * agent, and else the error as it is.
 *
 * @param where what was written to, as the message names it
 * @param isElsewhere it may be on another disk than the store, where other things help
 */
export function storeError(error: unknown, where = 'the store', isElsewhere = false): unknown {
  const reason = reasonOf(error)
  const otherwise = isElsewhere ? 'write to another one' : 'have STRAKE_ROOT on another one'
  if (reason === 'EROFS') {
    return new StrakeError('store_invalid', `the file system of ${where} is read-only`, {
      hint: `mount it for writing (a disk with errors is made read-only by the kernel: dmesg), or ${otherwise}`,
      cause: error,
      details: { errno: reason },
    })
  }
  if (reason === 'EMFILE' || reason === 'ENFILE') {
    return new StrakeError('limit_exceeded', `there are too many open files to use ${where}`, {
      hint: 'raise the limit of open files: ulimit -n (`await doctor()` tells how for good)',
      cause: error,
      details: { errno: reason },
    })
  }
  if (reason === 'EFBIG') {
    return new StrakeError('limit_exceeded', `what is written to ${where} is larger than this process may write in one file`, {
      hint: 'raise the limit of file sizes: ulimit -f unlimited (LimitFSIZE= of a systemd unit); or the file system takes no larger ones',
      cause: error,
      details: { errno: reason },
    })
  }
  if (reason !== 'ENOSPC' && reason !== 'EDQUOT') return error
  const what = reason === 'ENOSPC' ? `the disk of ${where} is full` : `the quota of this user on the disk of ${where} is used up`
  return new StrakeError('store_full', what, {
    hint: isElsewhere
      ? `make room on that disk (store.prune() makes some on the store's), or ${otherwise}`
      : `make room, as store.prune() does, or ${otherwise}; nothing half-written was kept`,
    cause: error,
    details: { errno: reason },
  })
}

/** Carries out what writes to the store, or elsewhere, to `where`; rejects as `storeError` has it. */
export async function writing<T>(work: () => T | Promise<T>, where?: string): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw storeError(error, where, where !== undefined)
  }
}
