import * as assert from 'uvu/assert'
import { after } from '../../lib/process/index.ts'
import { test } from '../support/uvu.ts'

interface Asked {
  readonly milliseconds: number
  readonly work: () => void
}

/** What `work` asks of setTimeout, which does nothing by itself meanwhile. */
function asked(work: () => void): Asked[] {
  const real = globalThis.setTimeout
  const timers: Asked[] = []
  globalThis.setTimeout = ((then: () => void, milliseconds: number) => {
    timers.push({ milliseconds, work: then })
    return undefined
  }) as unknown as typeof setTimeout
  try {
    work()
    // One that is armed anew is asked for by the one before it.
    for (let at = 0; at < timers.length && at < 100; at += 1) timers[at]?.work()
  } finally {
    globalThis.setTimeout = real
  }
  return timers
}

test('no timer is asked for longer than setTimeout takes, and all of them together last as long as was said', () => {
  for (const milliseconds of [0, 1, 2 ** 31 - 1, 2 ** 31, 10 * 2 ** 31 + 7]) {
    let done = 0
    const timers = asked(() => {
      after(milliseconds, () => {
        done += 1
      })
    })
    assert.ok(timers.every((each) => each.milliseconds <= 2 ** 31 - 1))
    assert.is(
      timers.reduce((sum, each) => sum + each.milliseconds, 0),
      milliseconds,
    )
    assert.is(done, 1)
  }
})

test('Infinity is never, and asks for no timer', () => {
  assert.is(asked(() => after(Number.POSITIVE_INFINITY, () => undefined)).length, 0)
})

test('what is called off is not done', async () => {
  const done: string[] = []
  const cancel = after(1, () => done.push('called off'))
  cancel()
  await new Promise<void>((resolve) => after(20, resolve))
  assert.equal(done, [])
})

test.run()
