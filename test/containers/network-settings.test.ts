// A container's own network namespace has the settings that Docker gives one, and the host's keeps its own.
import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { image } from '../../lib/index.ts'
import { idKind } from '../support/machine.ts'
import { test } from '../support/uvu.ts'

const names = ['ip_unprivileged_port_start', 'ping_group_range']
const paths = names.map((name) => `/proc/sys/net/ipv4/${name}`)

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/)
}

test('any user may use ports below 1024 and ping, where the container has its own network', async () => {
  const built = await image('host').build()
  const lastGroup = idKind === 'single' ? '0' : '65535'
  for (const options of [{}, { user: '1000' }, { userns: 'private' }] as const) {
    const { stdout } = await built.exec(['cat', ...paths], { ...options, check: true })
    assert.equal(words(stdout), ['0', '0', lastGroup], JSON.stringify(options))
  }
  await using container = await built.start({ cmd: ['sleep', '60'] })
  assert.equal(words((await container.exec(['cat', ...paths])).stdout), ['0', '0', lastGroup])
  assert.is((await container.exec(`echo 1 > ${paths[0]}`)).exitCode === 0, false)
})

test('the host’s network is left as it is', async () => {
  const host = words(readFileSync(paths[0] ?? '', 'utf8'))
  const { stdout } = await image('host').exec(['cat', paths[0] ?? ''], { network: 'host', check: true })
  assert.equal(words(stdout), host)
  assert.equal(words(readFileSync(paths[0] ?? '', 'utf8')), host)
})

test.run()
