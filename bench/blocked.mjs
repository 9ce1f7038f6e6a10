// How long a start keeps the event loop: the time that the loop was not waiting, from the call to the delivered result.
import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { timeCommand } from './run-command.mjs'
import { summary } from './statistics.mjs'

async function activeDuring(work) {
  const before = performance.eventLoopUtilization()
  await work()
  return performance.eventLoopUtilization(before).active
}

/** Milliseconds that the main thread was on a processor so far (proc(5), schedstat): what of `active` is not waiting for other programs. */
function onProcessor() {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  } catch {
    return Number.NaN
  }
}

async function processorDuring(work) {
  const before = onProcessor()
  await work()
  return onProcessor() - before
}

function rest() {
  return new Promise((resolve) => setTimeout(resolve, 5))
}

/** Milliseconds; alternating, each after a pause in which the last one's remains are done away with. */
export async function blockedPerStart({ image, programs }, rounds) {
  const ours = []
  const spawned = []
  const removal = []
  const processor = []
  const start = async () => {
    const { exitCode } = await image.exec(['/bin/true'])
    if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`)
  }
  for (let round = 0; round < rounds + 20; round += 1) {
    const mine = await activeDuring(start)
    const after = await activeDuring(rest)
    const theirs = await activeDuring(() => timeCommand(programs.true, []))
    await rest()
    const used = await processorDuring(start)
    await rest()
    // The first are slower: code that is not compiled yet.
    if (round < 20) continue
    ours.push(mine)
    removal.push(after)
    processor.push(used)
    spawned.push(theirs)
  }
  return {
    strake: summary(ours),
    "strake, the thread's processor time": summary(processor),
    'after the result (removal)': summary(removal),
    'child_process.spawn': summary(spawned),
  }
}
