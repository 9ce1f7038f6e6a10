import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { inspect } from 'node:util'
import * as assert from 'uvu/assert'
import { type BuildEvent, cache, secret, ssh } from '../../../lib/build/index.ts'
import { Mask } from '../../../lib/build/mounts/mask.ts'
import { image } from '../../../lib/fluent/index.ts'
import { test } from '../../support/uvu.ts'
import { failure, withBench } from '../bench.ts'

const host = image('host')
const value = 'tr0ub4dor-and-3-horses'

/** Every file of the store that has the value in it. */
function filesWith(root: string, text: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const path = join(entry.parentPath, entry.name)
    return entry.isFile() && readFileSync(path).includes(text) ? [path] : []
  })
}

test('B04: a secret is a file in memory with its mode, and nowhere else: layers, history, config, cache, events, errors, descriptions', () =>
  withBench(async ({ build, read, paths, directory }) => {
    const events: BuildEvent[] = []
    const script = `
      stat -c "%a %s" /run/secrets/token > /seen
      stat -f -c %T /run/secrets/token >> /seen
      cat /run/secrets/token
      echo "value=$VALUE" >&2`
    const app = host.run(script, { mounts: [secret('token'), secret('other', { env: 'VALUE' })] })
    const secrets = { token: value, other: { env: 'STRAKE_TEST_SECRET' } }
    process.env.STRAKE_TEST_SECRET = value
    try {
      const built = await build(app, { secrets, onProgress: (event) => events.push(event) })
      assert.is(await read(built, 'seen'), `400 ${value.length}\ntmpfs\n`)
      assert.equal(await paths(built), ['seen'])
      const failing = app.run('cat /run/secrets/token; exit 3', { secrets: { token: value } })
      const error = await failure(build(failing, { secrets, onProgress: (event) => events.push(event) }))
      assert.is(error.details?.log, '***')
      const shown = [error.stack, inspect(error, { depth: 9 }), JSON.stringify(built), inspect(built, { depth: 9 })]
      for (const text of [...shown, inspect(failing.steps, { depth: 9 }), JSON.stringify(failing.steps), String(failing), inspect(failing)])
        assert.not.match(String(text), value)
    } finally {
      delete process.env.STRAKE_TEST_SECRET
    }
    const logged = events.flatMap((event) => (event.type === 'log' ? [Buffer.from(event.data)] : []))
    assert.is(Buffer.concat(logged).includes(value), false)
    assert.match(Buffer.concat(logged).toString(), 'value=***')
    assert.not.match(JSON.stringify(events), value)
    assert.equal(filesWith(join(directory, 'store'), value), [])
  }))

test('B04: another value has no step carried out again; one in a cache key would be seen in what is cached', () =>
  withBench(async ({ build }) => {
    const app = host.run('wc -c < /run/secrets/token > /seen', { mounts: [secret('token')] })
    const first = await build(app, { secrets: { token: 'one' } })
    const second = await build(app, { secrets: { token: 'another' } })
    assert.is(second.digest, first.digest)
  }))

test('a secret has its place, mode and owner; as a variable it is no file; several ways to give one', () =>
  withBench(async ({ build, read, context, runtime }) => {
    writeFileSync(join(context, 'secret-file'), 'from a file\n')
    const [uid, gid] = runtime.canChown ? [5, 6] : [0, 0]
    const app = host.run('stat -c "%a %u %g" /a/s > /seen; cat /a/s >> /seen; echo "$V" >> /seen; ls -A /run >> /seen', {
      mounts: [secret('file', { target: '/a/s', mode: 0o440, uid, gid }), secret('variable', { env: 'V' })],
      secrets: { file: { file: join(context, 'secret-file') } },
    })
    const built = await build(app, { secrets: { variable: 'of the build', file: 'the step wins' } })
    assert.is(await read(built, 'seen'), `440 ${uid} ${gid}\nfrom a file\nof the build\n`)
  }))

test('a secret for another user: with a single id it is given to nobody, as all that is chowned; an id that nobody has is a failed step', () =>
  withBench(async ({ build, read, runtime }) => {
    const [uid, gid] = runtime.canChown ? [33, 34] : [0, 0]
    const app = (owner: number) => host.run('stat -c "%u %g" /run/secrets/s > /seen', { mounts: [secret('s', { uid: owner, gid: 34 })] })
    assert.is(await read(await build(app(33), { secrets: { s: value } }), 'seen'), `${uid} ${gid}\n`)
    if (!runtime.canChown) return
    const nobodys = [secret('s', { uid: 7_000_000 }), cache('/c', { uid: 7_000_000 })]
    for (const mount of nobodys) {
      const failed = await failure(build(host.run('true', { mounts: [mount] }), { secrets: { s: value } }))
      assert.equal(
        [failed.code, failed.name, failed.details?.step, failed.details?.exitCode],
        ['build_failed', 'BuildError', 'RUN true', null],
      )
      assert.match(failed.message, /its mounts cannot be made ready: .*7000000.* not mapped/)
    }
  }))

test('a secret that nobody gives is left out, or fails the step that requires it', () =>
  withBench(async ({ build, read }) => {
    const optional = host.run('ls /run/secrets 2>/dev/null || echo none > /seen', { mounts: [secret('token')] })
    assert.is(await read(await build(optional), 'seen'), 'none\n')
    const required = await failure(build(host.run('true', { mounts: [secret('token', { required: true })] })))
    assert.equal([required.code, /"token"/.test(required.message)], ['build_failed', true])
    const unset = await failure(build(host.run('true', { secrets: { token: { env: 'STRAKE_NOT_SET' } } })))
    assert.equal([unset.code, unset.details?.exitCode], ['invalid_argument', undefined])
    const unreadable = await failure(build(host.run('true', { secrets: { token: { file: '/no/such/file' } } })))
    assert.equal([unreadable.code, unreadable.details?.argument], ['invalid_argument', 'secrets.token'])
  }))

test('a secret below a cache is in neither', () =>
  withBench(async ({ build, read, directory }) => {
    const mounts = [cache('/root'), secret('npmrc', { target: '/root/.npmrc' })]
    const built = await build(host.run('cat /root/.npmrc | wc -c > /seen', { mounts }), { secrets: { npmrc: value } })
    assert.is((await read(built, 'seen'))?.trim(), String(value.length))
    assert.equal(filesWith(join(directory, 'store'), value), [])
  }))

test("the caller's SSH agent answers in the container, by a socket of the container's; without one it is left out", () =>
  withBench(async ({ build, read, directory, runtime }) => {
    const path = join(directory, 'agent.sock')
    const agent = createServer((socket) => socket.on('data', (data) => socket.write(Buffer.from(data).reverse())))
    await new Promise<void>((done) => agent.listen(path, done))
    try {
      const ask = join(directory, 'ask')
      const compiled = spawnSync('cc', ['-static', '-O2', '-o', ask, 'test/build/mounts/ask.c'], { encoding: 'utf8' })
      assert.is(compiled.status, 0, compiled.stderr)
      const tools = host.copy({ 'bin/ask': { content: readFileSync(ask), mode: 0o755 } }, '/')
      const uid = runtime.canChown ? 77 : 0
      const app = tools.run('stat -c "%F %a %u" "$SSH_AUTH_SOCK" > /tmp/seen; ask "$SSH_AUTH_SOCK" >> /tmp/seen', {
        user: uid,
        mounts: [ssh({ uid })],
      })
      const built = await build(app, { ssh: { default: path } })
      assert.is(await read(built, 'tmp/seen'), `socket 600 ${uid}\ngnip`)
      const none = host.run('test -n "$SSH_AUTH_SOCK" || echo none > /seen', { mounts: [ssh({ id: 'other' })] })
      assert.is(await read(await build(none, { ssh: { default: path } }), 'seen'), 'none\n')
      const required = await failure(build(host.run('true', { mounts: [ssh({ id: 'other', required: true })] })))
      assert.is(required.code, 'build_failed')
    } finally {
      await new Promise((done) => agent.close(done))
    }
  }))

test('a mask finds secrets however the output is cut, and leaves the rest as it is', () => {
  const text = 'a secret-one b secret-two secret-on secret-one'
  const expected = 'a *** b *** secret-on ***'
  for (let size = 1; size <= text.length; size += 1) {
    const stream = new Mask([Buffer.from('secret-one'), Buffer.from('secret-two\n')]).stream()
    let shown = ''
    for (let at = 0; at < text.length; at += size) shown += stream.add(Buffer.from(text.slice(at, at + size))).toString()
    assert.is(shown + stream.end().toString(), expected, `pieces of ${size}`)
  }
})

function masked(values: readonly string[], text: string, size = text.length): string {
  const stream = new Mask(values.map((each) => Buffer.from(each))).stream()
  const bytes = Buffer.from(text)
  const shown: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) shown.push(stream.add(bytes.subarray(at, at + size)))
  return Buffer.concat([...shown, stream.end()]).toString()
}

test('a mask finds all of a secret and its lines; of a short one every word, and not its letters in others', () => {
  const key = '-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nshort1=\n{\n}\n-----END KEY-----\n'
  const cases: [values: readonly string[], text: string, shown: string][] = [
    [[key], 'x MIIEowIBAAKCAQEA\nMIIEowIBAAKCAQEAx\n', 'x ***\n***x\n'],
    [[key], `${key}{\n}\n`, '***\n{\n}\n'],
    [[key], 'short1= xshort1= (short1=)', '*** xshort1= (***)'],
    [['123'], 'it is 123, 1234, 0123 and 123', 'it is ***, 1234, 0123 and ***'],
    [['123'], '123', '***'],
    [['7'], '7 77 7', '*** 77 ***'],
    [['no'], 'no node "no" k=no\n', '*** node "***" k=***\n'],
    [['voil\u00e0\n'], 'voil\u00e0!', '***!'],
    [['abcdef1\nghijkl2\n'], 'got abcdef1\ngot ghijkl2\nabcdef12', 'got ***\ngot ***\nabcdef12'],
    [['abcd', 'abcdefgh'], 'abcd abcdefgh abcdefg', '*** *** ***efg'],
    [[' ', '\n'], 'a b\n', 'a b\n'],
  ]
  for (const [values, text, shown] of cases)
    for (let size = 1; size <= text.length; size += 1)
      assert.is(masked(values, text, size), shown, `${values} in ${text}, pieces of ${size}`)
  assert.ok(new Mask([Buffer.from(' \n')]).isEmpty)
})

test('B04: an error that names what a command has made names no secret: message, details, causes, event; nor what is left of one that is cut', () =>
  withBench(async ({ build }) => {
    const long = 'y'.repeat(40) + value
    const name = 'd'.repeat(200)
    const deep = `cd /x*/* && for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do mkdir ${name}; cd -P ./${name}; done`
    const cases: [what: string, script: string, secret: string, shown: RegExp][] = [
      ['a marker', 'touch "/.wh.$(cat /run/secrets/s)"', value, /\/\.wh\.\*\*\*" is a name/],
      ['its directory', 'd="/a/$(cat /run/secrets/s)/b"; mkdir -p "$d"; touch "$d/.wh.x"', value, /\/a\/\*\*\*\/b\/\.wh\.x/],
      ['quotes and lines', 'touch "/.wh.$(cat /run/secrets/s)"', 'zqab"zq12\nzqde\\zq34', /\.wh\.\*\*\*"/],
      ['one cut short', `mkdir -p "/${'x'.repeat(50)}/$(cat /run/secrets/s)" && ${deep}`, long, /\/x+\/\*\*\*… is too deep/],
    ]
    for (const [what, script, secretValue, shown] of cases) {
      const events: BuildEvent[] = []
      const options = { secrets: { s: secretValue }, onProgress: (event: BuildEvent) => void events.push(event) }
      const error = await failure(build(host.run(script, { mounts: [secret('s')] }), options))
      const failed = events.find((event) => event.type === 'failed')
      const texts = [
        error.message,
        JSON.stringify(error.details),
        String(error.stack),
        inspect(error, { depth: 9 }),
        inspect(failed, { depth: 9 }),
      ]
      assert.match(error.message, shown, what)
      assert.ok(failed?.type === 'failed' && failed.error === error, what)
      for (const text of texts)
        for (const part of [secretValue, ...secretValue.split(/[^a-z0-9-]+/), secretValue.slice(0, 8)]) assert.not.match(text, part, what)
    }
  }))

test('a short secret is in neither log nor error', () =>
  withBench(async ({ build }) => {
    for (const short of ['123', 'abcdef1\nghijkl2\n', '7']) {
      const command = 'while read l; do echo "got $l"; done < /run/secrets/t; cat /run/secrets/t; exit 1'
      const error = await failure(build(host.run(command, { mounts: [secret('t')], secrets: { t: short } })))
      for (const word of short.trim().split('\n'))
        assert.not.match(`${error.message.split('exit code')[1]} ${String(error.details?.log)}`, new RegExp(`\\b${word}\\b`))
    }
  }))

test.run()
