import { resolve } from 'node:path'
import * as assert from 'uvu/assert'
import type { Step } from '../../../lib/build/index.ts'
import { addStep } from '../../../lib/build/steps/add.ts'
import { copyStep } from '../../../lib/build/steps/copy.ts'
import { baseOf } from '../../../lib/build/steps/from.ts'
import { bind, cache, secret, ssh, tmpfs } from '../../../lib/build/steps/mounts.ts'
import { runStep } from '../../../lib/build/steps/run.ts'
import {
  argStep,
  entrypointStep,
  envStep,
  exposeStep,
  healthcheckStep,
  onbuildStep,
  stopSignalStep,
  userStep,
} from '../../../lib/build/steps/settings.ts'
import type { StrakeError } from '../../../lib/errors/error.ts'
import { image } from '../../../lib/fluent/image-builder.ts'
import { test } from '../../support/uvu.ts'

/** Asserts that `work` throws a StrakeError of this code whose details name the argument. */
function refuses(work: () => unknown, code: string, argument?: string): void {
  try {
    work()
  } catch (thrown) {
    const error = thrown as StrakeError
    assert.is(error.code, code, error.message)
    if (argument !== undefined) assert.is(error.details?.argument, argument)
    return
  }
  assert.unreachable(`nothing was refused with ${code}`)
}

test('what a base is can be told from its text alone', () => {
  const cases: [string, object][] = [
    ['scratch', { kind: 'scratch' }],
    ['host', { kind: 'host' }],
    ['debian:12', { kind: 'reference', reference: 'debian:12' }],
    ['127.0.0.1:5000/a/b@sha256:00', { kind: 'reference', reference: '127.0.0.1:5000/a/b@sha256:00' }],
    ['oci:dir:v1', { kind: 'layout', path: resolve('dir'), tag: 'v1' }],
    ['oci:/a/dir', { kind: 'layout', path: '/a/dir' }],
    ['oci-archive:f.tar', { kind: 'archive', format: 'oci', path: resolve('f.tar') }],
    ['docker-archive:/f.tar:app:2', { kind: 'archive', format: 'docker', path: '/f.tar', tag: 'app:2' }],
    ['docker-archive:/f.tar:a', { kind: 'archive', format: 'docker', path: '/f.tar', tag: 'a' }],
    ['./rootfs/', { kind: 'rootfs', path: resolve('rootfs') }],
    ['/srv/root', { kind: 'rootfs', path: '/srv/root' }],
    ['../r.tar.zst', { kind: 'rootfs', path: resolve('../r.tar.zst') }],
    ['debian.tar', { kind: 'rootfs', path: resolve('debian.tar') }],
  ]
  for (const [text, base] of cases) assert.equal(baseOf('from', text), base, text)
})

test('a base that is neither text, image nor builder is refused', () => {
  for (const value of ['', 'a\nb', 3, null, {}, undefined]) refuses(() => baseOf('from', value as string), 'invalid_argument', 'from')
})

test('a command is kept as it is, its options checked', () => {
  assert.equal(runStep('make', { env: { A: '1' }, user: 1000, timeout: 5 }), {
    kind: 'run',
    command: 'make',
    env: { A: '1' },
    user: '1000',
    network: 'host',
    timeout: 5,
  })
  refuses(() => runStep(''), 'invalid_argument', 'run')
  refuses(() => runStep([]), 'invalid_argument', 'run')
  refuses(() => runStep(['a', 'b\0']), 'invalid_argument', 'run[1]')
  assert.is(runStep('a', { timeout: '1m30s' }).timeout, 90_000)
  for (const none of [0, Infinity]) assert.not.ok('timeout' in runStep('a', { timeout: none }))
  refuses(() => runStep('a', { timeout: -1 }), 'invalid_argument')
  refuses(() => runStep('a', { network: 'bridge' as 'host' }), 'invalid_argument', 'network')
  refuses(() => runStep('a', { user: 'a:b:c' }), 'invalid_argument', 'user')
  refuses(() => runStep('a', { env: { 'A=B': '1' } }), 'invalid_argument', 'env')
})

test('B01: paths that lead out of the context are refused by name, whatever their disguise', () => {
  for (const path of ['../x', 'a/../../x', '..', './../x', 'a/b/../../../x']) refuses(() => copyStep(path, '/'), 'path_escapes')
  refuses(() => copyStep({ '../x': '' }, '/'), 'path_escapes')
  refuses(() => copyStep({ 'a/../../x': '' }, '/'), 'path_escapes')
})

test('an absolute path starts at the context, as in a Dockerfile', () => {
  assert.equal(copyStep('/etc/passwd', '/').source, { kind: 'context', paths: ['etc/passwd'] })
  assert.equal(copyStep('/../../etc/passwd', '/').source, { kind: 'context', paths: ['etc/passwd'] })
})

test('files from memory are copies: a later change of the caller changes no step', () => {
  const content = Buffer.from('one')
  const step = copyStep({ 'bin/x': { content, mode: 0o755 }, motd: 'hello' }, '/')
  content.fill(0)
  assert.ok(step.source.kind === 'memory')
  const [x, motd] = step.source.kind === 'memory' ? step.source.files : []
  assert.equal([x?.path, Buffer.from(x?.content ?? []).toString(), x?.mode], ['bin/x', 'one', 0o755])
  assert.equal([motd?.path, motd?.mode], ['motd', 0o644])
})

test('what cannot be copied is refused', () => {
  refuses(() => copyStep(['a', 'b'], '/app'), 'invalid_argument', 'destination')
  copyStep(['a', 'b'], '/app/')
  copyStep(['a', 'b'], '.')
  refuses(() => copyStep([], '/'), 'invalid_argument', 'copy')
  refuses(() => copyStep('a', '/', { chmod: 0o10000 }), 'invalid_argument', 'chmod')
  refuses(() => copyStep('a', '/', { chown: 'a b' }), 'invalid_argument', 'chown')
  refuses(() => copyStep({ 'a/': 'x' }, '/'), 'invalid_argument', 'copy')
  refuses(() => copyStep({ a: 3 as unknown as string }, '/'), 'invalid_argument')
  refuses(() => copyStep({ a: 'x' }, '/', { from: 'host' }), 'invalid_argument', 'from')
  refuses(() => copyStep('a', 'b\0'), 'invalid_argument', 'destination')
})

test('settings are normalised', () => {
  assert.equal(exposeStep([8080, '53/udp', '443']).ports, ['8080/tcp', '53/udp', '443/tcp'])
  assert.is(stopSignalStep('term').signal, 'SIGTERM')
  assert.is(stopSignalStep('SIGRTMIN+3').signal, 'SIGRTMIN+3')
  assert.is(stopSignalStep(9).signal, '9')
  assert.is(userStep(1000).user, '1000')
  assert.equal(entrypointStep([]).command, [])
  assert.equal(healthcheckStep({ test: 'curl localhost', interval: 1000 }), {
    kind: 'healthcheck',
    test: ['CMD-SHELL', 'curl localhost'],
    interval: 1000,
  })
  for (const none of ['none', 'NONE', ['NONE']]) assert.equal(healthcheckStep({ test: none }).test, ['NONE'])
  assert.equal(healthcheckStep({ test: ['CMD', 'true', ''] }).test, ['CMD', 'true', ''])
  assert.equal(healthcheckStep({ test: ['CMD-SHELL', 'none'] }).test, ['CMD-SHELL', 'none'])
  for (const wrong of [['CMD'], ['CMD-SHELL'], ['CMD-SHELL', 'a', 'b'], ['NONE', 'a'], []])
    refuses(() => healthcheckStep({ test: wrong }), 'invalid_argument', 'healthcheck.test')
  assert.equal(envStep({ 'a name': 'x' }).variables, { 'a name': 'x' })
  for (const port of [0, 65_536, 1.5, '80/icmp', 'http', -1]) refuses(() => exposeStep([port]), 'invalid_argument', 'expose')
  refuses(() => stopSignalStep('SIGNOTHING'), 'invalid_argument', 'stopSignal')
  refuses(() => envStep({ '': 'x' }), 'invalid_argument', 'env')
  refuses(() => envStep({ A: undefined as unknown as string }), 'invalid_argument', 'env.A')
})

test('a health check takes times as texts or milliseconds, and 0 for what is left to Docker, as a Dockerfile does', () => {
  const test = ['CMD', 'true']
  assert.equal(healthcheckStep({ test: ['true'], interval: '1m30s', timeout: '2s', startPeriod: 0, startInterval: '0s', retries: 0 }), {
    kind: 'healthcheck',
    test,
    interval: 90_000,
    timeout: 2000,
  })
  assert.equal(healthcheckStep({ test: ['true'], startPeriod: '500ms', startInterval: 1 }), {
    kind: 'healthcheck',
    test,
    startPeriod: 500,
    startInterval: 1,
  })
  for (const timeout of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1', '2 s', '-1s', '1us', '', null])
    refuses(() => healthcheckStep({ test: ['true'], timeout: timeout as string }), 'invalid_argument')
  for (const retries of [-1, 1.5, null]) refuses(() => healthcheckStep({ test: ['true'], retries: retries as number }), 'invalid_argument')
})

test('the mounts of a command are data, with all that BuildKit has for defaults', () => {
  assert.equal(cache('/root/.npm/'), {
    kind: 'cache',
    target: '/root/.npm',
    id: '/root/.npm',
    sharing: 'shared',
    readOnly: false,
    source: '.',
    mode: 0o755,
    uid: 0,
    gid: 0,
  })
  assert.equal(bind('src', { source: '/a/../b' }), { kind: 'bind', target: 'src', source: 'b', readWrite: false })
  assert.equal(tmpfs('/t', { size: '1m' }), { kind: 'tmpfs', target: '/t', size: 1_048_576 })
  assert.equal(secret('a/token'), {
    kind: 'secret',
    id: 'a/token',
    target: '/run/secrets/token',
    required: false,
    mode: 0o400,
    uid: 0,
    gid: 0,
  })
  assert.equal('target' in secret('token', { env: 'T' }), false)
  assert.equal(ssh(), { kind: 'ssh', id: 'default', required: false, mode: 0o600, uid: 0, gid: 0 })
  const step = runStep('a', { mounts: [cache('/c')], secrets: { token: 'v', other: { env: 'O' } } })
  assert.equal(
    step.mounts?.map((mount) => [mount.kind, mount.target]),
    [
      ['cache', '/c'],
      ['secret', '/run/secrets/token'],
      ['secret', '/run/secrets/other'],
    ],
  )
  assert.not.match(JSON.stringify(step), '"v"')
  assert.equal([runStep('a').network, runStep('a', { network: 'default' }).network], ['host', 'host'])
})

test('a mount that cannot be one is refused', () => {
  for (const target of ['/', '/proc', '/proc/x', '/sys/fs', '/dev', '']) refuses(() => cache(target), 'invalid_argument', 'target')
  refuses(() => cache('/c', { sharing: 'mine' as 'shared' }), 'invalid_argument', 'sharing')
  refuses(() => cache('/c', { source: 'x' }), 'invalid_argument', 'source')
  refuses(() => cache('/c', { mode: 0o10000 }), 'invalid_argument', 'mode')
  refuses(() => bind('/b', { source: '../x' }), 'path_escapes')
  refuses(() => tmpfs('/t', { size: 'huge' }), 'invalid_argument')
  refuses(() => secret('a/..'), 'invalid_argument', 'secret')
  refuses(() => secret('t', { env: 'A=B' }), 'invalid_argument', 'env')
  refuses(() => secret('t', { taget: '/x' } as object), 'invalid_argument')
  refuses(() => runStep('a', { mounts: [cache('/c'), tmpfs('/c/')] }), 'invalid_argument', 'mounts')
  refuses(() => runStep('a', { mounts: [{ kind: 'cache' } as unknown as ReturnType<typeof cache>] }), 'invalid_argument', 'mounts[0]')
  refuses(() => runStep('a', { secrets: { t: 3 as unknown as string } }), 'invalid_argument', 'secrets.t')
  refuses(() => runStep('a', { secrets: { t: 'x'.repeat(600_000) } }), 'invalid_argument', 'secrets.t')
})

test('an add is paths and URLs, a checksum one URL', () => {
  const checksum = `sha256:${'0'.repeat(64)}`
  assert.equal(addStep(['a', 'https://example.org/b'], '/', { chmod: '755' }), {
    kind: 'add',
    sources: [
      { kind: 'path', path: 'a' },
      { kind: 'url', url: 'https://example.org/b' },
    ],
    destination: '/',
    chmod: 0o755,
  })
  assert.is(addStep('https://example.org/b', '/', { checksum }).checksum, checksum)
  refuses(() => addStep('a', '/', { checksum }), 'invalid_argument', 'checksum')
  refuses(() => addStep('https://example.org/b', '/', { checksum: 'md5:0' }), 'invalid_argument', 'checksum')
  refuses(() => addStep('https://user:password@example.org/b', '/'), 'invalid_argument', 'add')
  refuses(() => addStep('../x', '/'), 'path_escapes')
  refuses(() => addStep([], '/'), 'invalid_argument', 'add')
  refuses(() => addStep('a', '/', { chmod: 'u+q' }), 'invalid_argument', 'chmod')
  refuses(() => addStep('a', '/', { link: true, chown: 'www-data' }), 'invalid_argument', 'chown')
})

test('a Git repository is its remote, its branch, tag or commit, and a directory', () => {
  const sourceOf = (text: string) => addStep(text, '/').sources[0]
  const url = 'https://example.org/app.git'
  assert.equal(sourceOf(url), { kind: 'git', url, remote: url })
  assert.equal(sourceOf(`${url}#v1:./a/b/`), { kind: 'git', url: `${url}#v1:./a/b/`, remote: url, ref: 'v1', directory: 'a/b' })
  assert.equal(sourceOf(`${url}#:a`), { kind: 'git', url: `${url}#:a`, remote: url, directory: 'a' })
  for (const remote of ['git@example.org:app', 'ssh://git@example.org/app', 'git://example.org/app'])
    assert.equal(sourceOf(`${remote}#x`), { kind: 'git', url: `${remote}#x`, remote, ref: 'x' })
  for (const text of ['https://example.org/app.git?x', 'https://example.org/app']) assert.is(sourceOf(text)?.kind, 'url')
  for (const fragment of ['#--upload-pack=x', '#a..b', '#a b', '#a:../b', '#a:b:c', '#a#b', '#a\nb'])
    refuses(() => addStep(`${url}${fragment}`, '/'), 'invalid_argument', 'add')
  for (const remote of ['https://me:word@example.org/app.git', 'https://token@example.org/app.git', 'ssh://me:word@example.org/app']) {
    refuses(() => addStep(remote, '/'), 'invalid_argument', 'add')
    assert.throws(
      () => addStep(remote, '/'),
      (error: Error) => !/word|token/.test(error.message.replace('a password', '')),
    )
  }
  refuses(() => addStep('a', '/', { keepGitDir: true }), 'invalid_argument', 'keepGitDir')
})

test('arguments have a default or none', () => {
  assert.equal(argStep({ A: '1', B: undefined }), { kind: 'arg', defaults: { A: '1', B: null } })
  refuses(() => argStep({ 'A B': '1' }), 'invalid_argument', 'arg')
  refuses(() => argStep({ A: 1 as unknown as string }), 'invalid_argument', 'arg.A')
  assert.equal(onbuildStep(' RUN make '), { kind: 'onbuild', instruction: 'RUN make' })
})

test('an instruction for later is one that a Dockerfile may have there, and is kept as Docker keeps it', () => {
  const base = image('scratch')
  for (const wrong of ['FOO x', 'FROM x', 'onbuild RUN x', 'MAINTAINER x', 'RUN a\nRUN b', 'RUN <<EOF\nno end', 'RUN', 'EXPOSE x', '', ' '])
    refuses(() => base.onbuild('RUN a', wrong), 'invalid_argument', 'onbuild')
  assert.throws(() => base.onbuild('RUM x'), /"RUM x".*"RUM" is unknown/)
  const { steps } = base.onbuild(' run a \\\n  b', 'COPY --chown=1 <<E $y/\n$z\nE', 'EXPOSE $PORT').from('scratch')
  assert.equal(
    steps.flatMap((step) => (step.kind === 'onbuild' ? [step.instruction] : [])),
    ['run a   b', 'COPY --chown=1 <<E $y/\n$z\nE', 'EXPOSE $PORT'],
  )
})

test('with takes a function that gives a description', () => {
  const base = image('scratch')
  for (const result of [5, undefined, null, {}, [], Promise.resolve(base)])
    refuses(() => base.with(() => result as typeof base), 'invalid_argument')
  assert.is(String(base.with((each) => each.cmd('a'))), 'FROM scratch\nCMD a')
})

test('a step cannot be changed', () => {
  const step = envStep({ A: '1' })
  assert.throws(() => {
    ;(step.variables as Record<string, string>).A = '2'
  })
})

test('a builder is a value: every verb gives another one', () => {
  const base = image('scratch').run('one')
  const one = base.run('two')
  const other = base.with((each) => each.env({ A: '1' }))
  assert.equal([base.steps.length, one.steps.length, other.steps.length], [2, 3, 3])
  assert.is(String(other), 'FROM scratch\nRUN one\nENV A=1')
  assert.throws(() => (base.steps as Step[]).push(base.steps[0]!))
})

test.run()
