// Compiles the benchmark's own C programs into a directory.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))

/** Returns the path of the program. */
export function compile(name, directory) {
  const out = join(directory, name)
  const done = spawnSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-static', '-o', out, join(here, `${name}.c`)], { encoding: 'utf8' })
  if (done.error || done.status !== 0) throw new Error(`cc ${name}.c: ${done.error?.message ?? done.stderr}`)
  return out
}
