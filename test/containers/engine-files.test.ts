import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { newId } from '../../lib/containers/directory.ts'
import { engineFiles, withOwnName } from '../../lib/containers/engine-files.ts'
import { image } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'

test('the files of a container name the host; with no network no server is asked for names', () => {
  const none = engineFiles('none', 'box')
  assert.match(none.hosts, /^127\.0\.0\.1\s+localhost$/m)
  assert.match(none.hosts, /^127\.0\.1\.1\s+box$/m)
  assert.is(none.hostname, 'box\n')
  assert.is(none.resolvConf, '')
  assert.match(engineFiles('host', 'box').hosts, /localhost/)
})

test('in the host’s network /etc/hosts is the host’s, and the container’s name in it', () => {
  const { hosts } = engineFiles('host', 'box-of-a-test.example')
  assert.ok(hosts.startsWith(readFileSync('/etc/hosts', 'utf8')))
  assert.match(hosts, /^127\.0\.1\.1\tbox-of-a-test\.example$/m)
})

test('a name is added to hosts(5) unless a line has it, in whatever letters', () => {
  const added = '127.0.1.1\tBox\n'
  for (const named of ['10.0.0.1 box\n', '10.0.0.1\tother  BOX # the box', '::1 a\n1.2.3.4 x box y\n'])
    assert.is(withOwnName(named, 'Box'), named)
  for (const unnamed of ['1.2.3.4 boxes\n', '1.2.3.4 the-box\n', '1.2.3.4 a # box\n', '# 1.2.3.4 box\n', '1.2.3.4 box.example\n'])
    assert.is(withOwnName(unnamed, 'Box'), unnamed + added)
  assert.is(withOwnName('1.2.3.4 a', 'Box'), `1.2.3.4 a\n${added}`)
})

test('no container’s name is a number, which would be looked up nowhere', () => {
  for (let each = 0; each < 20_000; each += 1) assert.match(newId(), /^(?=.{0,11}[a-f])[0-9a-f]{64}$/)
})

test('a container’s own name can be looked up, in either network and in a build', async () => {
  const lookUp = 'getent hosts "$(hostname)"'
  const built = await image('host').run(`${lookUp} > /own-name`).run(`${lookUp} > /own-name-alone`, { network: 'none' }).build()
  const { stdout } = await built.exec(['cat', '/own-name', '/own-name-alone'], { check: true })
  assert.match(stdout, /^\S+\s+buildkitsandbox\n\S+\s+buildkitsandbox\n$/)
  for (const network of ['none', 'host'] as const) {
    for (const options of [{ network }, { network, hostname: 'box-of-a-test.example' }, { network, user: '0', userns: 'private' }] as const)
      await built.exec(lookUp, { ...options, check: true })
    await using container = await built.start({ cmd: ['sleep', '600'], network })
    await container.exec(lookUp, { check: true })
  }
})

test.run()
