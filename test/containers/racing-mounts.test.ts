// Paths of an image that lead up and down again, while others mount: openat2(2) asks to be called again.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

test("an image whose resolv.conf is systemd's link starts, however many start beside it", async () => {
  using place = temporaryDirectory('racing')
  mkdirSync(join(place.path, 'etc'))
  mkdirSync(join(place.path, 'run/systemd/resolve'), { recursive: true })
  writeFileSync(join(place.path, 'run/systemd/resolve/stub-resolv.conf'), 'nameserver 127.0.0.53\n')
  symlinkSync('../run/systemd/resolve/stub-resolv.conf', join(place.path, 'etc/resolv.conf'))
  const built = await image('host').copy('.', '/').build({ context: place.path })
  const codes: (number | null)[] = []
  for (const until = performance.now() + 4000; performance.now() < until; ) {
    const results = await Promise.all(Array.from({ length: 12 }, () => built.exec(['true'])))
    codes.push(...results.map(({ exitCode }) => exitCode))
  }
  assert.ok(codes.every((code) => code === 0))
  assert.ok(codes.length >= 24)
})

test('where the links of an image lead nowhere, what is mounted takes their place, and nothing is left of it', async () => {
  using place = temporaryDirectory('dangling')
  mkdirSync(join(place.path, 'etc'))
  symlinkSync('../run/systemd/resolve/stub-resolv.conf', join(place.path, 'etc/resolv.conf'))
  symlinkSync('/nowhere/hosts', join(place.path, 'etc/hosts'))
  const built = await image('host').run('rm -rf /run/systemd').copy('.', '/').build({ context: place.path })
  await using container = await built.start({ cmd: ['sleep', '100'], hostname: 'here', network: 'host' })
  const { stdout } = await container.exec('cat /etc/hosts; echo; cat /etc/resolv.conf', { check: true })
  assert.match(stdout, 'localhost')
  assert.match(stdout, 'nameserver')
  assert.equal(await container.diff(), [])
  const { stdout: within } = await image(built)
    .run('cat /etc/resolv.conf > /seen')
    .exec('cat /seen; readlink /etc/resolv.conf || echo covered')
  assert.match(within, 'nameserver')
})

test.run()
