// test: timeout 120
import { hostname } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'
import { runExample } from './programs.ts'

test('namespaces by hand: each line says what is in there, and nothing of it is seen out here', async () => {
  using directory = temporaryDirectory('exploring')
  const { code, stdout, stderr } = await runExample('exploring.ts', join(directory.path, 'store'))
  assert.is(code, 0, stderr)
  assert.match(stdout, 'pivotRoot')
  assert.match(stdout, '["date"]')
  const told = (name: string): string | undefined => stdout.split('\n').find((line) => line.startsWith(name))
  assert.is(told('hostname inside'), 'hostname inside: box')
  assert.is(told('/mnt inside'), '/mnt inside: private')
  assert.is(told('network inside'), 'network inside: lo')
  assert.ok(Number(told('processes inside')?.split(': ')[1]) < 6)
  assert.match(told('inside') ?? '', /CapEff:\s+0*1ff.*; uid 0$/)
  for (const kind of ['user', 'mnt', 'uts', 'net']) assert.not.match(told(`${kind} `) ?? 'missing: shared with us', 'shared with us')
  assert.match(told('time ') ?? '', 'shared with us')
  assert.is.not(hostname(), 'box')
})

test.run()
