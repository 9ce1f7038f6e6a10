// What a step means where BuildKit decides it, tried in containers.
import * as assert from 'uvu/assert'
import { image, secret } from '../../lib/index.ts'
import { idKind } from '../support/machine.ts'
import { test } from '../support/uvu.ts'

const people = image('host').run('echo bob:x:1234:1235::/home/bob:/bin/sh >> /etc/passwd; echo team:x:1235: >> /etc/group')
const look = 'for each in "$@"; do stat -c "%n %a %u:%g" "$each"; done'
const seen = async (app: typeof people, ...paths: string[]): Promise<string[]> =>
  (await app.exec(['sh', '-c', look, 'sh', ...paths], { user: '0', check: true })).stdout.trim().split('\n')

test('a mode that is asked for is that of what is copied, not of the directories on the way to it', async () => {
  const app = people.copy({ 'conf.json': 'x' }, '/made/app/', { chmod: 0o644 }).copy({ a: 'x', 'sub/b': 'y' }, '/other/', { chmod: 0o600 })
  assert.equal(await seen(app, '/made', '/made/app', '/made/app/conf.json', '/other', '/other/a', '/other/sub', '/other/sub/b'), [
    '/made 755 0:0',
    '/made/app 755 0:0',
    '/made/app/conf.json 644 0:0',
    '/other 755 0:0',
    '/other/a 600 0:0',
    '/other/sub 755 0:0',
    '/other/sub/b 600 0:0',
  ])
})

test("a destination that has to be made is root's, or of whom chown names, with mode 0755, whatever the directory copied from is", async () => {
  const source = people.run('mkdir -p /from/sub && touch /from/f && chmod 710 /from /from/sub && chown -R bob /from || true')
  const bobs = idKind === 'single' ? '0:0' : '1234:0'
  const app = people
    .copy('/from', '/plain', { from: source })
    .copy('/from', '/owned/in', { from: source, chown: '7:8' })
    .copy('/from', '/linked', { from: source, link: true })
    .copy('/from', '/there', { from: source, chmod: 0o600 })
    .copy({ g: '' }, '/there')
  const sevens = idKind === 'single' ? '0:0' : '7:8'
  assert.equal(
    await seen(app, '/plain', '/plain/sub', '/plain/f', '/owned', '/owned/in', '/linked', '/linked/sub', '/there', '/there/sub'),
    [
      '/plain 755 0:0',
      `/plain/sub 710 ${bobs}`,
      `/plain/f 644 ${bobs}`,
      `/owned 755 ${sevens}`,
      `/owned/in 755 ${sevens}`,
      '/linked 755 0:0',
      `/linked/sub 710 ${bobs}`,
      '/there 755 0:0',
      `/there/sub 600 ${bobs}`,
    ],
  )
})

test("the directories that WORKDIR makes are the user's", async () => {
  const app = image(await people.build())
    .run('mkdir /home/there')
    .user('bob')
    .workdir('/home/bob/app')
    .run('touch x')
    .workdir('/home/there')
  const bobs = idKind === 'single' ? '0:0' : '1234:1235'
  assert.equal(await seen(app, '/home/bob', '/home/bob/app', '/home/bob/app/x', '/home/there'), [
    `/home/bob 755 ${bobs}`,
    `/home/bob/app 755 ${bobs}`,
    `/home/bob/app/x 644 ${bobs}`,
    '/home/there 755 0:0',
  ])
  const asNumber = people.user('77').workdir('/seventy')
  assert.equal(await seen(asNumber, '/seventy'), [`/seventy 755 ${idKind === 'single' ? '0:0' : '77:77'}`])
})

test('a pattern may match nothing, a plain path may not', async () => {
  const context = { memory: { 'package.json': '{}' } }
  const text = 'FROM base\nCOPY package.json package-lock.json* ./\nCOPY *.none /none/\n'
  await image('host').build({ tag: 'localhost/buildkit-base:1' })
  const app = image().fromDockerfile({ text: text.replace('base', 'localhost/buildkit-base:1') })
  const built = await app.build({ context })
  assert.is((await built.exec('cat /package.json; ls / | grep -c none')).stdout, '{}0\n')
  const missing = image().fromDockerfile({ text: 'FROM localhost/buildkit-base:1\nCOPY package.json nothing.json ./\n' })
  const failed = await missing.build({ context }).catch((error: { code: string }) => error.code)
  assert.is(failed, 'context_invalid')
})

test('an argument that was given counts in the ONBUILD of a base, too', async () => {
  const text = 'FROM localhost/buildkit-args:1 AS b\nONBUILD ARG Z=5\nONBUILD RUN echo $Z > /trigger\nFROM b\n'
  await image('host').build({ tag: 'localhost/buildkit-args:1' })
  for (const [args, expected] of [
    [undefined, '5\n'],
    [{ Z: '9' }, '9\n'],
  ] as const) {
    const built = await image()
      .fromDockerfile({ text, ...(args ? { args } : {}) })
      .build()
    assert.is((await built.exec(['cat', '/trigger'])).stdout, expected)
  }
})

test('a secret of one long line is masked wherever it is printed, however long it is', async () => {
  for (const length of [4000, 5000, 30_000]) {
    const value = Array.from({ length }, (_, at) => 'abcdefghijklmnopqrstuvwxyz0123456789'[(at * 7919 + (at >> 5)) % 36]).join('')
    const printed: string[] = []
    const error = await image('host')
      .run('cat /run/secrets/t; echo; exit 1', { mounts: [secret('t')] })
      .build({
        secrets: { t: value },
        onProgress: (event) => {
          if (event.type === 'log') printed.push(Buffer.from(event.data).toString())
        },
      })
      .catch((each: { message: string; details: { log: string } }) => each)
    const all = [printed.join(''), (error as { message: string }).message, (error as { details: { log: string } }).details.log].join('\n')
    assert.match(all, '***')
    for (let at = 0; at + 40 < length; at += 500) assert.not(all.includes(value.slice(at, at + 40)), `${length}: clear from ${at} on`)
  }
})

test.run()
