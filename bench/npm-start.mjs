// `npm start` without a terminal on a clone that is set up: with a fresh store, then with the one it left.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { median } from './statistics.mjs'

const clone = fileURLToPath(new URL('..', import.meta.url))

/** Milliseconds of one run. */
function run(directory) {
  const begin = performance.now()
  const done = spawnSync('npm', ['start', '--silent'], {
    cwd: clone,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    env: { ...process.env, STRAKE_ROOT: directory },
  })
  if (done.error || done.status !== 0) throw new Error(`npm start: ${done.error?.message ?? done.stderr.slice(-400)}`)
  return performance.now() - begin
}

export function timeNpmStart(rounds) {
  const fresh = []
  const again = []
  for (let round = 0; round < rounds; round += 1) {
    const directory = mkdtempSync('/dev/shm/strake-bench-start-')
    try {
      fresh.push(run(directory))
      again.push(run(directory))
    } finally {
      rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    }
  }
  return { fresh: median(fresh), again: median(again) }
}
