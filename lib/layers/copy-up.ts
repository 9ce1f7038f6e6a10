import { type FileRecord, flags } from '../sys/index.ts'
import type { OpWriter } from './batch.ts'
import { layerInvalid } from './limits.ts'
import type { ByteString } from './names.ts'
import { readOpenFile } from './open-file.ts'
import { printable } from './walk.ts'

const { O_WRONLY, O_CREAT, O_EXCL, O_APPEND } = flags.O

/** Makes a copy of a lower layer's file, symlink or fifo at `path`, without its attributes. Resolves to a symlink's target. */
export async function copyUp(
  record: FileRecord,
  path: Buffer,
  open: () => Promise<number>,
  writer: OpWriter,
): Promise<ByteString | undefined> {
  const mode = record.mode & 0o777
  switch (record.mode & 0o170000) {
    case 0o100000:
      await writer.push({ op: 'write', path, flags: O_WRONLY | O_CREAT | O_EXCL, mode, data: Buffer.alloc(0) })
      for await (const data of readOpenFile(await open(), record.size))
        await writer.push({ op: 'write', path, flags: O_WRONLY | O_APPEND, data })
      return undefined
    case 0o120000:
      await writer.push({ op: 'symlink', target: record.target, path })
      return record.target.toString('latin1')
    case 0o010000:
      await writer.push({ op: 'mknod', path, mode: flags.S.S_IFIFO | mode })
      return undefined
    default:
      throw layerInvalid(`a hard link to ${printable(path)} of a lower layer, which is a directory`)
  }
}
