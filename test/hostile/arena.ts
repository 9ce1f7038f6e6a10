import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Image, image } from '../../lib/index.ts'
import { removeTree } from '../../scripts/remove-tree.mjs'

const scratch = mkdtempSync(join(tmpdir(), 'strake-hostile-'))
process.env.STRAKE_ROOT ??= join(scratch, 'store')
process.once('exit', () => removeTree(scratch))

const program = join(scratch, 'probe')

/** The path of probe.c, compiled, on the host. */
export function probe(): string {
  const source = fileURLToPath(new URL('probe.c', import.meta.url))
  if (!existsSync(program)) execFileSync('gcc', ['-static', '-O1', '-w', '-o', program, source])
  return program
}

let made: Promise<Image> | undefined

/** The host base with probe.c as `/probe`. */
export function arena(): Promise<Image> {
  made ??= image('host')
    .copy({ probe: { content: readFileSync(probe()), mode: 0o755 } }, '/')
    .build()
  return made
}

/** What the probe said: what was tried → how it ended (`done`, or an errno). */
export function outcomes(text: string): Map<string, string> {
  return new Map(
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => {
        const [what = '', outcome = ''] = line.split('\t')
        return [what, outcome]
      }),
  )
}
