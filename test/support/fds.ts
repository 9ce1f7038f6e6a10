import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'

/** How many file descriptors this process has open. */
export function openFds(): number {
  return readdirSync('/proc/self/fd').length
}

/** The same, once nothing has changed for 50 ms: what ran before may close its own late. At most a second. */
export async function quietFds(): Promise<number> {
  let before = openFds()
  for (let round = 0; round < 20; round += 1) {
    await sleep(50)
    const now = openFds()
    if (now === before) break
    before = now
  }
  return before
}

function listing(): string {
  return readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return `${fd} → ${readlinkSync(`/proc/self/fd/${fd}`)}`
      } catch {
        return fd
      }
    })
    .join('\n')
}

/** No more file descriptors are open than `before`, or will be within 3 s. Fewer are none of our business: others close theirs. */
export async function assertNoMoreFds(before: number, what = ''): Promise<void> {
  const end = Date.now() + 3000
  while (openFds() > before && Date.now() < end) await sleep(10)
  const now = openFds()
  assert.ok(now <= before, `${what} ${before} file descriptors were open, now ${now}:\n${listing()}`)
}

/**
 * Carries `work` out again and again, and no file descriptor is left of it. The first round is for what is opened once and kept; as one that
 * somebody else closes meanwhile hides one leak, there are several rounds.
 */
export async function assertKeepsNoFds(work: () => unknown, rounds = 5): Promise<void> {
  await work()
  const before = await quietFds()
  for (let round = 0; round < rounds; round += 1) await work()
  await assertNoMoreFds(before, `after ${rounds} rounds`)
}
