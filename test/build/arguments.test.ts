import * as assert from 'uvu/assert'
import { image } from '../../lib/fluent/index.ts'
import { test } from '../support/uvu.ts'
import { withBench } from './bench.ts'

const host = image('host')

test('an argument is a variable of later commands: what the build is given wins over its default, env over both; none is in the image', () =>
  withBench(async ({ build, read }) => {
    const app = host
      .run('echo "before: $A" > /seen')
      .arg({ A: 'default', B: undefined, C: 'c', D: undefined })
      .env({ C: 'of the image' })
      .run('echo "$A $B $C $(test -n "$D" || echo unset)" >> /seen')
    const plain = await build(app)
    assert.is(await read(plain, 'seen'), 'before: \ndefault  of the image unset\n')
    const given = await build(app, { args: { A: 'a', B: 'b', C: 'not this', unknown: 'x' } })
    assert.is(await read(given, 'seen'), 'before: \na b of the image unset\n')
    assert.equal(
      given.config.Env?.filter((line) => !line.startsWith('PATH=')),
      ['C=of the image'],
    )
    assert.equal(
      given.history.filter(({ created_by }) => created_by?.startsWith('ARG')).map(({ created_by }) => created_by),
      ['ARG A=default B C=c D'],
    )
  }))

test('another value has the commands after it carried out again, and no other', () =>
  withBench(async ({ build }) => {
    const cached: Record<string, boolean> = {}
    const onProgress = (event: { type: string; cached?: boolean; name?: string }): void => {
      if (event.type === 'step' && event.name) cached[event.name] = event.cached === true
    }
    const app = host.run('true').arg({ V: '1' }).run('echo $V > /v')
    await build(app)
    await build(app, { args: { V: '2' }, onProgress })
    assert.equal([cached['RUN true'], cached['RUN echo $V > /v']], [true, false])
    await build(app, { args: { V: '1' }, onProgress })
    assert.is(cached['RUN echo $V > /v'], true)
  }))

test('a build from another one has its arguments; an image has none', () =>
  withBench(async ({ build, read }) => {
    const base = host.arg({ A: 'inherited' })
    assert.is(await read(await build(image(base).run('echo "$A" > /seen')), 'seen'), 'inherited\n')
    const built = { data: await build(base.run('true')) }
    assert.is(await read(await build(image(built).run('echo "$A" > /seen')), 'seen'), '\n')
  }))

test('proxies need no arg, and are in no key and no history; one that is named by arg is like any other', () =>
  withBench(async ({ build, read }) => {
    const app = host.run('echo "$http_proxy" > /seen')
    const one = await build(app, { args: { http_proxy: 'http://one:1' } })
    assert.is(await read(one, 'seen'), 'http://one:1\n')
    assert.is((await build(app, { args: { http_proxy: 'http://two:2' } })).digest, one.digest)
    assert.not.match(JSON.stringify([one.history, one.config]), 'one:1')
    const named = host.arg({ http_proxy: undefined }).run('echo "$http_proxy" > /seen')
    await build(named, { args: { http_proxy: 'http://one:1' } })
    assert.is(await read(await build(named, { args: { http_proxy: 'http://two:2' } }), 'seen'), 'http://two:2\n')
  }))

test('onbuild is in the config, in order; a command of several lines is one step', () =>
  withBench(async ({ build, read }) => {
    const base = image('scratch').copy({ f: '' }, '/').onbuild('RUN one', 'COPY . /app')
    assert.equal((await build(base)).config.OnBuild, ['RUN one', 'COPY . /app'])
    const lines = await build(
      host.run(`set -e
      for each in 1 2; do
        echo $each >> /seen
      done`),
    )
    assert.is(await read(lines, 'seen'), '1\n2\n')
  }))

test('without a network a command has loopback alone', () =>
  withBench(async ({ build, read }) => {
    const seen = 'sed -n "3,$ s/:.*//p" /proc/net/dev | tr -d " " | sort > /seen'
    assert.is(await read(await build(host.run(seen, { network: 'none' })), 'seen'), 'lo\n')
    const host1 = await read(await build(host.run(seen, { network: 'host' })), 'seen')
    assert.is(await read(await build(host.run(seen, { network: 'default' })), 'seen'), host1)
  }))

test.run()
