// HOSTILE.md, "Running containers": words that are given to the engine. R14.
import assert from 'node:assert/strict'
import type { StartOptions } from '../../lib/containers/index.ts'
import { containers } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'
import { arena } from './arena.ts'

const large = 'x'.repeat(1_000_000)
const refused: readonly { what: string; options: StartOptions; codes?: readonly string[] }[] = [
  ...['a\nb', '127.0.0.1 evil', 'a;b', '-a', 'a-', '.a', 'a..b', 'a_b', '\u001b[31m', 'ä', '', 'a\0b', 'x'.repeat(65), large].map(
    (hostname) => ({
      what: `hostname ${JSON.stringify(hostname.slice(0, 20))}`,
      options: { hostname },
    }),
  ),
  ...['a/b', '../x', '.', '-a', 'a b', 'a\nb', 'a;b', '\u001b[2J', 'a\0b', '', 'x'.repeat(129), large].map((name) => ({
    what: `name ${JSON.stringify(name.slice(0, 20))}`,
    options: { name },
  })),
  ...[{ '': 'x' }, { 'a=b': 'x' }, { 'a\0b': 'x' }, { A: 'x\0y' }].map((env) => ({ what: `env ${JSON.stringify(env)}`, options: { env } })),
  {
    what: 'an environment variable of 1 MB',
    options: { env: { A: large } },
    codes: ['invalid_argument', 'limit_exceeded', 'kernel_refused'],
  },
  { what: 'cwd with a NUL', options: { cwd: '/a\0b' } },
  { what: 'cwd of 1 MB', options: { cwd: `/${large}` } },
  { what: 'a command with a NUL', options: { cmd: ['true', 'a\0b'] } },
  { what: 'a command of 1 MB', options: { cmd: ['true', large] }, codes: ['invalid_argument', 'limit_exceeded', 'kernel_refused'] },
  ...['a\nb', 'a:b:c', '-1', '4294967296', '99999999999', 'a\0b', '1:-1', large].map((user) => ({
    what: `user ${JSON.stringify(user.slice(0, 20))}`,
    options: { user },
    codes: ['invalid_argument', 'user_not_found'],
  })),
]

for (const { what, options, codes = ['invalid_argument'] } of refused) {
  test(`R14: ${what} is refused, by name and in few words`, async () => {
    const base = await arena()
    const before = containers.list().length
    let error: (Error & { code?: string }) | undefined
    try {
      await (await base.start({ cmd: ['true'], ...options })).remove()
    } catch (caught) {
      error = caught as Error & { code?: string }
    }
    assert.ok(error, 'not refused')
    assert.ok(codes.includes(error.code ?? ''), `${error.code}: ${error.message.slice(0, 200)}`)
    assert.ok(error.message.length < 1000, `${error.message.length} characters`)
    assert.ok(!/[\u0000-\u0008\u000b-\u001f]/.test(error.message), JSON.stringify(error.message.slice(0, 100)))
    assert.equal(containers.list().length, before)
  })
}

test('R14: an environment keeps every other character as it is', async () => {
  const value = ' a\nb;c\t"d"\'e\' $(f) `g` \u001b[0m ä \u{1f600} '
  const { stdout } = await (await arena()).exec(['/bin/sh', '-c', 'printf %s "$VALUE"'], { env: { VALUE: value } })
  assert.equal(stdout, value)
})

test('R14: /etc/hosts has the lines of the engine and no others', async () => {
  const { stdout } = await (await arena()).exec(['cat', '/etc/hosts'], { hostname: 'box.example' })
  assert.deepEqual(stdout.trim().split('\n').at(-1)?.split(/\s+/), ['127.0.1.1', 'box.example'])
  assert.equal(stdout.trim().split('\n').length, 3)
})

test.run()
