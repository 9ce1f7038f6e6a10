import { read } from 'node:fs'
import { promisify } from 'node:util'
import { closeFd } from '../../native/binding.ts'
import { readAhead } from './read-ahead.ts'

const readFd = promisify(read)
const pieceSize = 512 * 1024
const nothing = Buffer.alloc(0)

/** Reads an open file up to `size` bytes, or less where it ends before, and closes it. The next piece is read while one is used. */
export async function* readOpenFile(fd: number, size: number): AsyncGenerator<Buffer, void, void> {
  let left = size
  const read = async (): Promise<Buffer> => {
    if (left <= 0) return nothing
    // Buffers as small as can be: the collector counts every byte of them.
    const buffer = Buffer.allocUnsafeSlow(Math.min(left, pieceSize))
    const { bytesRead } = await readFd(fd, buffer, 0, buffer.length, null)
    left -= bytesRead
    return buffer.subarray(0, bytesRead)
  }
  try {
    yield* readAhead(read)
  } finally {
    closeFd(fd)
  }
}
