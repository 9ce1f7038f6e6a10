import * as assert from 'uvu/assert'
import { image } from '../../lib/fluent/index.ts'
import { testAs } from '../support/skip.ts'
import { test } from '../support/uvu.ts'
import { withBench } from './bench.ts'

const host = image('host').run('rm -f /etc/hostname')

test("what a command writes to /etc/hostname is in its layer, and its host's name is what it was", () =>
  withBench(async ({ build, read, paths }) => {
    const built = await build(host.run('hostname > /name; echo myhost > /etc/hostname').run('cat /etc/hostname > /seen; hostname >> /seen'))
    assert.equal(await paths(built, -2), ['etc/', 'etc/hostname', 'name'])
    assert.is(await read(built, 'etc/hostname'), 'myhost\n')
    assert.is(await read(built, 'seen'), 'myhost\nbuildkitsandbox\n')
  }))

test('an image without /etc/hostname has none while it is built', () =>
  withBench(async ({ build, read, paths }) => {
    const built = await build(host.run('ls /etc/hostname || cp -a /etc /copy; ls -A /copy | grep host > /seen'))
    assert.equal(
      (await paths(built)).filter((path) => path.includes('hostname')),
      [],
    )
    assert.is(await read(built, 'seen'), 'hosts\n')
  }))

for (const name of ['hosts', 'resolv.conf'])
  test(`/etc/${name} is mounted read-only while an image is built: nothing that is written there is lost without a word`, () =>
    withBench(async ({ build, read, paths }) => {
      const built = await build(host.run(`echo x >> /etc/${name} || rm -f /etc/${name} || echo refused > /seen; cat /etc/${name} >> /seen`))
      assert.match((await read(built, 'seen')) ?? '', /^refused\n/)
      assert.equal(await paths(built), ['seen'])
    }))

testAs(test, ['single'], 'apt is told that there are no other users while an image is built, too', () =>
  withBench(async ({ build, read, paths }) => {
    const built = await build(host.run('cat /etc/apt/apt.conf.d/99strake > /seen'))
    assert.match((await read(built, 'seen')) ?? '', /Sandbox/)
    assert.equal(await paths(built), ['seen'])
  }),
)

test.run()
