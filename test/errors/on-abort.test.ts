import { getEventListeners } from 'node:events'
import * as assert from 'uvu/assert'
import { onAbort } from '../../lib/errors/index.ts'
import { test } from '../support/uvu.ts'

test('all that wait for a signal are called, once, in their order; the signal has one listener', () => {
  const controller = new AbortController()
  const called: number[] = []
  const many = Array.from({ length: 20 }, (_, at) => onAbort(controller.signal, () => called.push(at)))
  many[3]?.()
  many[3]?.()
  assert.is(getEventListeners(controller.signal, 'abort').length, 1)
  controller.abort()
  controller.abort()
  assert.equal(
    called,
    Array.from({ length: 20 }, (_, at) => at).filter((at) => at !== 3),
  )
  for (const forget of many) forget()
})

test('the same function may wait twice, and the last that stops waiting takes the listener with it', () => {
  const controller = new AbortController()
  let calls = 0
  const count = (): void => {
    calls += 1
  }
  const first = onAbort(controller.signal, count)
  const second = onAbort(controller.signal, count)
  first()
  assert.is(getEventListeners(controller.signal, 'abort').length, 1)
  second()
  assert.is(getEventListeners(controller.signal, 'abort').length, 0)
  onAbort(controller.signal, count)
  controller.abort()
  assert.is(calls, 1)
})

test('one that stops another while they are called is heeded, and no signal is none', () => {
  const controller = new AbortController()
  const called: string[] = []
  const forgets = [
    onAbort(controller.signal, () => {
      called.push('first')
      forgets[1]?.()
    }),
    onAbort(controller.signal, () => called.push('second')),
  ]
  controller.abort()
  assert.equal(called, ['first'])
  onAbort(undefined, () => called.push('never'))()
  assert.equal(called, ['first'])
})

test.run()
