import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeTree } from '../../scripts/remove-tree.mjs'

/** A directory that is removed, with all that containers wrote into it, when its block ends. */
export interface TemporaryDirectory extends Disposable {
  readonly path: string
}

/** @example using directory = temporaryDirectory('copy') */
export function temporaryDirectory(name = 'test', parent = tmpdir()): TemporaryDirectory {
  const path = mkdtempSync(join(parent, `strake-${name}-`))
  return { path, [Symbol.dispose]: () => removeTree(path) }
}
