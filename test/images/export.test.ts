import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { test } from '../support/uvu.ts'

const exporter = fileURLToPath(new URL('exporter.ts', import.meta.url))

/** Exports in a process that ends if it needs more than so much memory. */
async function exported(files: number, ofDirectory: number, megabytes: number): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    `--max-old-space-size=${megabytes}`,
    '--import',
    'tsx',
    exporter,
    String(files),
    String(ofDirectory),
  ])
  return stdout.trim()
}

test('a directory of very many files is exported in little memory, as it was', async () => {
  assert.is(await exported(80_000, 80_000, 52), 'the same')
})

test('many directories of many files are exported in little memory, as they were', async () => {
  assert.is(await exported(80_000, 2500, 52), 'the same')
})

test.run()
