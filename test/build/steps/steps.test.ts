import { resolve } from 'node:path'
import * as assert from 'uvu/assert'
import { copyStep } from '../../../lib/build/steps/copy.ts'
import { baseOf } from '../../../lib/build/steps/from.ts'
import { runStep } from '../../../lib/build/steps/run.ts'
import { entrypointStep, envStep, exposeStep, healthcheckStep, stopSignalStep, userStep } from '../../../lib/build/steps/settings.ts'
import type { StrakeError } from '../../../lib/errors/error.ts'
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
  assert.equal(healthcheckStep({ test: 'none' }).test, ['NONE'])
  for (const port of [0, 65_536, 1.5, '80/icmp', 'http', -1]) refuses(() => exposeStep([port]), 'invalid_argument', 'expose')
  refuses(() => stopSignalStep('SIGNOTHING'), 'invalid_argument', 'stopSignal')
  refuses(() => envStep({ '': 'x' }), 'invalid_argument', 'env')
  refuses(() => envStep({ A: undefined as unknown as string }), 'invalid_argument', 'env.A')
})

test('a step cannot be changed', () => {
  const step = envStep({ A: '1' })
  assert.throws(() => {
    ;(step.variables as Record<string, string>).A = '2'
  })
})

test.run()
