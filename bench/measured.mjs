// The process in which is measured: plain Node, the built library, as much memory as it is told to have. Its one argument is JSON
// (see run.mjs); it prints its findings as one line of JSON.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { blockedPerStart } from './blocked.mjs'
import { kernelMeter, measureMemory } from './memory.mjs'
import { makeRootfs } from './rootfs.mjs'
import { summary } from './statistics.mjs'
import { startsPerSecond } from './throughput.mjs'

const { root, megabytes, trials, rounds, slowRounds, starts, programs, parts } = JSON.parse(process.argv[2])
const touched = []

function grow() {
  while (process.memoryUsage.rss() < megabytes * 1e6) touched.push(Buffer.alloc(2 ** 21, 1))
}

function rest(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

function hasCommand(command) {
  return process.env.PATH.split(':').some((directory) => existsSync(join(directory, command)))
}

/** Prepares each trial; one that cannot be is told as missing, and why. */
async function prepareAll(context, missing) {
  const ready = []
  for (const path of trials) {
    const { default: trial } = await import(path)
    try {
      if (trial.command && !hasCommand(trial.command)) throw new Error(`${trial.command} is not installed`)
      const once = await trial.prepare(context)
      await once()
      ready.push({ trial, once, times: [] })
    } catch (error) {
      missing.push({ name: trial.name, why: String(error?.message ?? error) })
    }
  }
  return ready
}

/** One of each after the other, round by round, so that a busy moment of the machine strikes all of them. */
async function measureTimes(context, missing) {
  const ready = await prepareAll(context, missing)
  grow()
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? ready : [...ready].reverse()
    for (const { trial, once, times } of order) {
      if (trial.isSlow && round >= slowRounds) continue
      times.push(await once())
      // What a start leaves to others (the next spare, the removal of a namespace) is not the next trial's to pay.
      await rest(trial.isSlow ? 50 : 6)
    }
  }
  return Object.fromEntries(ready.map(({ trial, times }) => [trial.name, { what: trial.what, ...summary(times) }]))
}

async function main() {
  process.env.STRAKE_ROOT = join(root, 'store')
  const scratch = mkdtempSync(join(root, 's-'))
  const meter = parts.includes('memory') ? kernelMeter() : undefined
  const ends = meter ? [() => meter.leave()] : []
  const { image: imageOf } = await import('../dist/index.js')
  const rootfs = makeRootfs(join(scratch, 'rootfs'), programs)
  mkdirSync(process.env.STRAKE_ROOT, { recursive: true })
  const image = await imageOf().from(rootfs).build()
  const context = { image, rootfs, scratch, programs, meter, atEnd: (end) => ends.push(end) }
  if (trials.some((path) => path.includes('strake-host'))) context.hostImage = await imageOf().from('host').build()
  const found = { missing: [] }
  try {
    // First of all, in a process that has run nothing yet.
    if (parts.includes('memory')) found.memory = await measureMemory(context)
    if (parts.includes('times')) found.times = await measureTimes(context, found.missing)
    if (parts.includes('blocked')) found.blocked = await blockedPerStart(context, rounds)
    if (parts.includes('throughput')) found.throughput = await startsPerSecond(context, starts)
    found.megabytes = Math.round(process.memoryUsage.rss() / 1e6)
  } finally {
    for (const end of ends) await end()
    rmSync(scratch, { recursive: true, force: true, maxRetries: 3 })
  }
  process.stdout.write(`${JSON.stringify(found)}\n`, () => process.exit())
}

await main()
