import { chmodSync, existsSync, lstatSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { walkTar } from '../../lib/layers/index.ts'
import type { ByteStream } from '../../lib/store/index.ts'

/** Puts what a layer brings into a plain directory: enough of unpacking to see what is in it. Owners and whiteouts are left out. */
export async function applyLayer(layer: ByteStream, root: string): Promise<void> {
  const times: [path: string, seconds: number][] = []
  for await (const { path, type, mode, mtime, linkPath, pieces, size } of bound(layer)) {
    const full = join(root, path)
    if (type === 'directory') {
      if (!existsSync(full)) mkdirSync(full)
      chmodSync(full, mode)
      times.unshift([full, mtime.sec])
      continue
    }
    mkdirSync(dirname(full), { recursive: true })
    if (lstatSync(full, { throwIfNoEntry: false })) rmSync(full)
    if (type === 'symlink') {
      symlinkSync(linkPath, full)
      continue
    }
    const content = Buffer.alloc(size)
    for await (const { offset, bytes } of pieces()) bytes.copy(content, offset)
    writeFileSync(full, content, { mode })
    chmodSync(full, mode)
    utimesSync(full, mtime.sec, mtime.sec)
  }
  for (const [path, seconds] of times) utimesSync(path, seconds, seconds)
}

async function* bound(layer: ByteStream) {
  for await (const entry of walkTar(layer)) {
    const { type, mode, mtime, size } = entry
    yield { type, mode, mtime, size, path: entry.path.toString(), linkPath: entry.linkPath.toString(), pieces: () => entry.pieces() }
  }
}
