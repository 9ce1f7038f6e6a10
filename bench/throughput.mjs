// Starts a second with some in flight, beside spawn's.
import { timeCommand } from './run-command.mjs'
import { median } from './statistics.mjs'

const turns = 3

async function perSecond(start, inFlight, count) {
  let left = count
  const one = async () => {
    while (left > 0) {
      left -= 1
      await start()
    }
  }
  const begin = performance.now()
  await Promise.all(Array.from({ length: inFlight }, one))
  return (count / (performance.now() - begin)) * 1000
}

/** { '2': { strake, 'child_process.spawn' }, '16': … }, medians of alternating turns of `count` starts. */
export async function startsPerSecond({ image, programs }, count) {
  const contestants = {
    strake: () => image.exec(['/bin/true']),
    'child_process.spawn': () => timeCommand(programs.true, []),
  }
  const result = {}
  for (const inFlight of [2, 16]) {
    const found = { strake: [], 'child_process.spawn': [] }
    for (let turn = 0; turn < turns; turn += 1) {
      for (const [name, start] of Object.entries(contestants)) found[name].push(await perSecond(start, inFlight, count))
    }
    result[inFlight] = Object.fromEntries(Object.entries(found).map(([name, values]) => [name, median(values)]))
  }
  return result
}
