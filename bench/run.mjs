// `npm run bench [-- --quick] [-- --only=times,blocked,throughput,memory,start]`: everything that is compared, in one run, alternating; prints
// tables and writes bench/results/<time>.json.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { missingPeers } from '../scripts/peers.mjs'
import { script, setUp } from '../scripts/setup.mjs'
import { hasProfile } from './bundle.mjs'
import { figures } from './figures.mjs'
import { compile } from './native/compile.mjs'
import { timeNpmStart } from './npm-start.mjs'
import { printFigures, printRun } from './print.mjs'
import { ext4Store, tmpfsStore } from './stores.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const isQuick = process.argv.includes('--quick')
const wanted = process.argv
  .find((word) => word.startsWith('--only='))
  ?.slice('--only='.length)
  .split(',')
const wants = (part) => wanted === undefined || wanted.includes(part)

/** In every process: what the figures are about. In the first one: all. */
const few = ['strake', 'spawn', 'bwrap', 'floor']

function trialPaths(names) {
  const all = readdirSync(join(here, 'trials')).filter((name) => name.endsWith('.mjs'))
  const sorted = [...all].sort((one, other) => Number(one !== 'strake.mjs') - Number(other !== 'strake.mjs'))
  return sorted.filter((name) => names === undefined || names.includes(name.replace('.mjs', ''))).map((name) => join(here, 'trials', name))
}

/** One measured process on a store. */
function measure(store, size, options) {
  const task = JSON.stringify({
    root: store.directory,
    megabytes: size,
    rounds: isQuick ? 25 : 150,
    slowRounds: isQuick ? 3 : 10,
    starts: isQuick ? 60 : 400,
    ...options,
  })
  const [command, ...args] = store.command([process.execPath, join(here, 'measured.mjs'), task])
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26, stdio: ['ignore', 'pipe', 'inherit'] })
  const line = done.stdout?.trim().split('\n').at(-1) ?? ''
  if (done.status !== 0 || !line.startsWith('{')) throw new Error(`The measured process ended with ${done.status ?? done.signal}: ${line}`)
  return { store: store.name, size, ...JSON.parse(line) }
}

function measureStore(store, programs, isFirst) {
  const runs = []
  try {
    for (const size of [80, 390]) {
      const parts = ['times', 'blocked', 'throughput', ...(isFirst && size === 80 ? ['memory'] : [])].filter(wants)
      if (parts.length === 0) continue
      const trials = trialPaths(isFirst && size === 80 ? undefined : few)
      const run = measure(store, size, { programs, parts, trials })
      printRun(run)
      runs.push(run)
    }
  } finally {
    store.release()
  }
  return runs
}

function save(report) {
  const directory = join(here, 'results')
  mkdirSync(directory, { recursive: true })
  const path = join(directory, `${report.at.replaceAll(':', '-').slice(0, 19)}${isQuick ? '-quick' : ''}.json`)
  writeFileSync(path, `${JSON.stringify(report, undefined, 2)}\n`)
  console.log(`\nWritten to ${path}`)
}

await script(() => {
  setUp({ only: ['dependencies', 'native part', 'bundle'] })
  for (const { command, pack } of missingPeers(['bench'])) console.log(`Missing: ${command} (apt-get install ${pack})`)
  if (!hasProfile) console.log("Missing: podman's seccomp profile; crun runs without seccomp")
  const machine = {
    node: process.version,
    kernel: release(),
    cpus: cpus().length,
    model: cpus()[0]?.model,
    user: process.getuid?.(),
    load: loadavg(),
  }
  if (machine.load[0] > 0.5 * machine.cpus)
    console.log(`This machine is busy (load ${machine.load[0].toFixed(1)}): times are too long, ratios are rough.`)
  const compiled = mkdtempSync(join(tmpdir(), 'strake-bench-'))
  const runs = []
  try {
    const programs = Object.fromEntries(['true', 'pause', 'floor'].map((name) => [name, compile(name, compiled)]))
    runs.push(...measureStore(tmpfsStore(), programs, true))
    const ext4 = ext4Store()
    if (ext4) runs.push(...measureStore(ext4, programs, false))
    else console.log('\nNot measured: ext4 in a loop file: needs root, mkfs.ext4 and losetup')
  } finally {
    rmSync(compiled, { recursive: true, force: true })
  }
  const npmStart = wants('start') ? timeNpmStart(isQuick ? 1 : 5) : undefined
  const list = figures(runs, npmStart)
  printFigures(list)
  save({ at: new Date().toISOString(), quick: isQuick, machine: { ...machine, loadAfter: loadavg() }, figures: list, runs, npmStart })
})
