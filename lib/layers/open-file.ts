import { read } from 'node:fs'
import { promisify } from 'node:util'
import { closeFd } from '../../native/binding.ts'

const readFd = promisify(read)
const pieceSize = 512 * 1024

/** Reads an open file up to `size` bytes, or less where it ends before, and closes it. */
export async function* readOpenFile(fd: number, size: number): AsyncGenerator<Buffer, void, void> {
  try {
    for (let left = size; left > 0; ) {
      // Buffers as small as can be: the collector counts every byte of them.
      const buffer = Buffer.allocUnsafeSlow(Math.min(left, pieceSize))
      const { bytesRead } = await readFd(fd, buffer, 0, buffer.length, null)
      if (bytesRead === 0) return
      left -= bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    closeFd(fd)
  }
}
