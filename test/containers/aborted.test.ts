// An AbortSignal at every moment of a start: it rejects with `aborted`, and nothing of the container is left.
import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { type Image, image, StrakeError } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'
import { assertNothingLeft, quietTraces } from './traces.ts'

let built: Image

test.before(async () => {
  built = await image('host').build()
  await built.exec(['true'])
})

async function codeOf(work: PromiseLike<unknown>): Promise<string> {
  try {
    await work
    return 'none'
  } catch (error) {
    return error instanceof StrakeError ? error.code : String(error)
  }
}

test('a signal that was aborted before: nothing is started', async () => {
  const reason = new Error('enough')
  const signal = AbortSignal.abort(reason)
  const failure = await built.exec(['true'], { signal }).then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.instance(failure, StrakeError)
  assert.is((failure as StrakeError).code, 'aborted')
  assert.is((failure as StrakeError).cause, reason)
  assert.is(await codeOf(built.start({ cmd: ['sleep', '100'], signal })), 'aborted')
})

test('aborted after any number of turns of the microtask queue, or milliseconds', async () => {
  const before = await quietTraces()
  for (let turns = 0; turns < 24; turns += 1) {
    const controller = new AbortController()
    const running = built.exec(['sleep', '100'], { signal: controller.signal })
    for (let turn = 0; turn < turns; turn += 1) await undefined
    controller.abort()
    assert.is(await codeOf(running), 'aborted', `after ${turns} turns`)
  }
  for (const milliseconds of [0, 1, 2, 3, 5, 8, 13, 21, 34]) {
    const controller = new AbortController()
    const running = built.exec(['sleep', '100'], { signal: controller.signal })
    await sleep(milliseconds)
    controller.abort()
    assert.is(await codeOf(running), 'aborted', `after ${milliseconds} ms`)
  }
  await assertNothingLeft(before)
})

test('one signal for more calls than Node lets listen: no warning, and it ends them all', async () => {
  const before = await quietTraces()
  const warnings: string[] = []
  const warn = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', warn)
  const controller = new AbortController()
  const { signal } = controller
  const running = Array.from({ length: 12 }, () => built.exec(['sleep', '100'], { signal }))
  const building = Array.from({ length: 12 }, (_, at) => image(built).run(`echo ${at} > /number; sleep 100`).build({ signal }))
  const codes = Promise.all([...running, ...building].map(codeOf))
  await Promise.all(running.map((each) => each.started))
  controller.abort()
  assert.equal([...new Set(await codes)], ['aborted'])
  await sleep(0)
  process.off('warning', warn)
  assert.equal(warnings, [])
  assert.is(getEventListeners(signal, 'abort').length, 0)
  await assertNothingLeft(before)
})

test('start() aborted at any moment before it resolves', async () => {
  const before = await quietTraces()
  for (const milliseconds of [0, 1, 2, 4, 8]) {
    const controller = new AbortController()
    const starting = built.start({ cmd: ['sleep', '100'], signal: controller.signal })
    await sleep(milliseconds)
    controller.abort()
    const outcome = await starting.then(
      async (container) => {
        await container.remove()
        return 'aborted'
      },
      (error: unknown) => (error as StrakeError).code,
    )
    assert.is(outcome, 'aborted', `after ${milliseconds} ms`)
  }
  await assertNothingLeft(before)
})

test('a build that is aborted in a step leaves its finished steps and nothing else', async () => {
  const before = await quietTraces()
  for (const milliseconds of [0, 20, 60, 150]) {
    const controller = new AbortController()
    const building = image(built).run(`echo ${milliseconds} > /first`).run('sleep 100').build({ signal: controller.signal })
    await sleep(milliseconds)
    controller.abort()
    assert.is(await codeOf(building), 'aborted', `after ${milliseconds} ms`)
  }
  await assertNothingLeft(before)
})

test.run()
