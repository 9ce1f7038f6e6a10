import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { childrenOf, isProcessStill, isStill, type ThreadFacts } from '../../lib/containers/still.ts'
import { test } from '../support/uvu.ts'
import { settled } from './traces.ts'

const clone = process.arch === 'arm64' ? 220 : 56
const read = process.arch === 'arm64' ? 63 : 0

function thread(state: string, facts: Partial<ThreadFacts> = {}): ThreadFacts {
  return { state, hasStopPending: false, systemCall: undefined, sleepsIn: undefined, ...facts }
}

test('a process is still when each of its threads has stopped or ended, and not before', () => {
  for (const state of ['T', 't', 'Z', 'X']) assert.ok(isStill([thread(state)]), state)
  for (const state of ['R', 'S', 'D', 'I']) {
    assert.not(isStill([thread(state)]), state)
    assert.not(isStill([thread('T'), thread(state)]), `T ${state}`)
    assert.not(isStill([thread('Z'), thread(state)]), `Z ${state}`)
  }
  assert.ok(isStill([]), 'it has ended')
})

test('a thread that waits in the kernel for its vfork child is still once it has a stop before it, and only that wait counts', () => {
  const waits = [
    { systemCall: clone },
    { systemCall: 435 },
    { sleepsIn: 'kernel_clone' },
    { sleepsIn: '_do_fork' },
    { systemCall: 190, sleepsIn: 'kernel_clone.isra.0' },
  ]
  for (const wait of waits) {
    assert.ok(isStill([thread('D', { ...wait, hasStopPending: true })]), JSON.stringify(wait))
    assert.ok(isStill([thread('D', wait), thread('T')]), 'the stop is under way in its process')
    assert.not(isStill([thread('D', wait)]), 'nothing will stop it')
    assert.not(isStill([thread('S', { ...wait, hasStopPending: true })]))
  }
  assert.not(isStill([thread('D', { hasStopPending: true })]))
  assert.not(isStill([thread('D', { hasStopPending: true, systemCall: read, sleepsIn: 'folio_wait_bit_common' })]))
})

test('a process of this machine is still from SIGSTOP to SIGCONT, and has its children by whichever thread made them', async () => {
  const child = spawn('sleep', ['1000'])
  await once(child, 'spawn')
  const pid = child.pid ?? 0
  try {
    assert.ok(childrenOf(process.pid).includes(pid))
    assert.not(isProcessStill(pid))
    child.kill('SIGSTOP')
    assert.ok(
      await settled(
        () => isProcessStill(pid),
        (isIt) => isIt,
      ),
      readFileSync(`/proc/${pid}/status`, 'utf8'),
    )
    child.kill('SIGCONT')
    assert.not(
      await settled(
        () => isProcessStill(pid),
        (isIt) => !isIt,
      ),
    )
  } finally {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  assert.ok(isProcessStill(pid))
})

test.run()
