import { closeSync, openSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { assertKeepsNoFds, quietFds } from '../support/fds.ts'
import { test } from '../support/uvu.ts'

test('work that leaves a file descriptor open is found out, also while another one is closed', async () => {
  const other = openSync('/dev/null', 'r')
  const left: number[] = []
  let failure: unknown
  await assertKeepsNoFds(() => {
    left.push(openSync('/dev/null', 'r'))
    if (left.length === 3) closeSync(other)
  }).catch((error: unknown) => {
    failure = error
  })
  for (const fd of left) closeSync(fd)
  assert.instance(failure, Error)
  assert.match((failure as Error).message, '/dev/null')
})

test('work that closes its own late, or others’, is none that leaves something', async () => {
  const others = Array.from({ length: 3 }, () => openSync('/dev/null', 'r'))
  const before = await quietFds()
  await assertKeepsNoFds(() => {
    const fd = openSync('/dev/null', 'r')
    setTimeout(() => closeSync(fd), 300)
    const other = others.pop()
    if (other !== undefined) closeSync(other)
  })
  assert.is(await quietFds(), before - 3)
})

test.run()
