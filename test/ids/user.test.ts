import assert from 'node:assert/strict'
import { lookUpUser } from '../../lib/ids/index.ts'
import { test } from '../support/uvu.ts'

const passwd = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
app:x:1000:100:App,,,:/home/app:/bin/sh
twin:x:1000:5:second:/twin:/bin/sh
1234:x:77:77:digits:/digits:/bin/sh
relative:x:5:5::home/x:/bin/sh
nohome:x:6:6
`
const group = `root:x:0:
www-data:x:33:
users:x:100:app
audio:x:29:app,daemon
video:x:44:daemon,app
wheel:x:10:root
5678:x:88:
`
const invalid = { code: 'invalid_argument' }

const found: readonly (readonly [string | number | undefined, object])[] = [
  [undefined, { uid: 0, gid: 0, groups: [0, 10], home: '/root', name: 'root' }],
  ['', { uid: 0, gid: 0, groups: [0, 10], home: '/root', name: 'root' }],
  ['root', { uid: 0, gid: 0, groups: [0, 10], home: '/root', name: 'root' }],
  ['app', { uid: 1000, gid: 100, groups: [100, 29, 44], home: '/home/app', name: 'app' }],
  [1000, { uid: 1000, gid: 100, groups: [100, 29, 44], home: '/home/app', name: 'app' }],
  ['1000', { uid: 1000, gid: 100, groups: [100, 29, 44], home: '/home/app', name: 'app' }],
  ['app:audio', { uid: 1000, gid: 29, groups: [29], home: '/home/app', name: 'app' }],
  ['app:7', { uid: 1000, gid: 7, groups: [7], home: '/home/app', name: 'app' }],
  ['33:video', { uid: 33, gid: 44, groups: [44], home: '/var/www', name: 'www-data' }],
  ['4242', { uid: 4242, gid: 0, groups: [0], home: '/' }],
  ['4242:4343', { uid: 4242, gid: 4343, groups: [4343], home: '/' }],
  [':audio', { uid: 0, gid: 29, groups: [29], home: '/root', name: 'root' }],
  ['app:', { uid: 1000, gid: 100, groups: [100, 29, 44], home: '/home/app', name: 'app' }],
  ['1234', { uid: 1234, gid: 0, groups: [0], home: '/' }],
  ['app:5678', { uid: 1000, gid: 5678, groups: [5678], home: '/home/app', name: 'app' }],
  ['twin', { uid: 1000, gid: 5, groups: [5], home: '/twin', name: 'twin' }],
  ['relative', { uid: 5, gid: 5, groups: [5], home: '/', name: 'relative' }],
  ['nohome', { uid: 6, gid: 6, groups: [6], home: '/', name: 'nohome' }],
  ['2147483647', { uid: 2147483647, gid: 0, groups: [0], home: '/' }],
]

for (const [spec, expected] of found) {
  test(`the user ${JSON.stringify(spec)} is found as Docker finds it`, () => assert.deepEqual(lookUpUser(spec, passwd, group), expected))
}

test('an image without passwd and group has ids and no names', () => {
  assert.deepEqual(lookUpUser(undefined, undefined, undefined), { uid: 0, gid: 0, groups: [0], home: '/' })
  assert.deepEqual(lookUpUser('7:8', undefined, undefined), { uid: 7, gid: 8, groups: [8], home: '/' })
  assert.throws(() => lookUpUser('root', undefined, undefined), { code: 'user_not_found' })
})

test('a name that is not there is user_not_found, with the names that are', () => {
  for (const [spec, hint] of [
    ['ap', /daemon, www-data/],
    ['app:nogroup', /www-data, users/],
    ['App', /app/],
    ['app:a:b', /users/],
  ] as const) {
    assert.throws(
      () => lookUpUser(spec, passwd, group),
      (error: Error & { code?: string; hint?: string }) => error.code === 'user_not_found' && hint.test(error.hint ?? ''),
    )
  }
})

test('R14: a user that is no user is invalid_argument', () => {
  const wrong: readonly unknown[] = [
    '-1',
    '2147483648',
    '4294967295',
    'app:-5',
    'app:4294967296',
    'a\nb',
    'a\0',
    'x'.repeat(1_000_000),
    -1,
    1.5,
    NaN,
    {},
    null,
  ]
  for (const spec of wrong)
    assert.throws(
      () => lookUpUser(spec as string, passwd, group),
      (error: Error & { code?: string }) => error.message.length < 400 && ['invalid_argument', 'user_not_found'].includes(error.code ?? ''),
    )
  for (const spec of ['-1', '2147483648', 'a\nb', null, {}]) assert.throws(() => lookUpUser(spec as string, passwd, group), invalid)
})

test('R12: a passwd that would make its reader take somebody for root does not', () => {
  const nasty = [
    'evil:x:nonsense:0::/:/bin/sh',
    'evil:x::::/',
    'evil',
    'evil:x:-1:0',
    'evil:x:4294967296:0',
    'evil:x:0x0:0',
    'evil:x: 0:0',
    'evil:x:0.0:0',
    '+evil:x:0:0',
    '#evil:x:0:0',
  ]
  for (const line of nasty) assert.throws(() => lookUpUser('evil', `${line}\n`, ''), { code: 'user_not_found' }, line)
  assert.equal(lookUpUser('evil', 'evil:x:bad:0\nevil:x:5:5::/home/evil:\n', '').uid, 5)
})

test('R12: homes with control characters, lines of 1 MB and binary files do no harm', () => {
  assert.equal(lookUpUser('a', 'a:x:1:1::/x\0y:/bin/sh\n', '').home, '/')
  assert.equal(lookUpUser('a', 'a:x:1:1::/x\ry:/bin/sh\n', '').home, '/')
  const long = `b:x:2:2:${'g'.repeat(1_000_000)}:/b:/bin/sh\n`
  assert.equal(lookUpUser('a', `${long}a:x:1:1::/a:\n`, '').home, '/a')
  assert.throws(() => lookUpUser('b', long, ''), { code: 'user_not_found' })
  const binary = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => (index * 7919) % 256)).toString('latin1')
  assert.throws(() => lookUpUser('a', binary, binary), { code: 'user_not_found' })
  const started = performance.now()
  for (const text of [':'.repeat(10_000_000), '\n'.repeat(10_000_000), 'a'.repeat(10_000_000)])
    assert.throws(() => lookUpUser('a', text, text), { code: 'user_not_found' })
  assert.ok(performance.now() - started < 5000)
})

test('a group of a million members is searched, a passwd beyond 10 MiB and 65536 groups are limit_exceeded', () => {
  const members = Array.from({ length: 1_000_000 }, (_, index) => `m${index}`).join(',')
  assert.deepEqual(lookUpUser('a', 'a:x:1:1::/:\n', `big:x:9:${members},a\n`).groups, [1, 9])
  const groups = Array.from({ length: 65_536 }, (_, index) => `g${index}:x:${index}:a\n`).join('')
  assert.throws(() => lookUpUser('a', 'a:x:1:1::/:\n', groups), { code: 'limit_exceeded' })
  assert.equal(lookUpUser('a:g5', 'a:x:1:1::/:\n', groups).gid, 5)
  assert.throws(() => lookUpUser('a', 'x'.repeat(11_000_000), ''), { code: 'limit_exceeded' })
})

test.run()
