// What NODE_EXTRA_CA_CERTS names is trusted beside the authorities that are given, or stored for a host.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { usualAuthorities } from '../../../lib/registry/client/authorities.ts'
import { has } from '../../support/machine.ts'
import { skip } from '../../support/skip.ts'
import { test } from '../../support/uvu.ts'
import { authority } from './distribution.ts'
import { desk, pretend } from './pretender.ts'

const lister = fileURLToPath(new URL('./lister.ts', import.meta.url))

test('NODE_EXTRA_CA_CERTS counts with tls.ca and with certs.d, too', async () => {
  if (!has('openssl')) return skip('openssl is not installed')
  await using here = await desk()
  const [ours, other] = ['ours', 'other'].map((each) => {
    mkdirSync(join(here.path, each))
    return authority(join(here.path, each))
  }) as [ReturnType<typeof authority>, ReturnType<typeof authority>]
  const [cert, key] = [ours.cert, ours.key].map((path) => readFileSync(path, 'utf8')) as [string, string]
  await using registry = await pretend(
    {},
    {
      tls: { cert, key },
      trick: (_, response) => {
        response.end(JSON.stringify({ tags: ['1'] }))
        return true
      },
    },
  )
  const listed = async (extra: string | undefined, ca = ''): Promise<string> => {
    const env = { ...process.env, ...(extra === undefined ? {} : { NODE_EXTRA_CA_CERTS: extra }) }
    const command = ['--import', import.meta.resolve('tsx'), lister, `${registry.host}/app`, ca]
    return (await promisify(execFile)(process.execPath, command, { env })).stdout.trim()
  }
  assert.is(await listed(undefined, other.ca), 'registry_unavailable')
  assert.is(await listed(ours.ca), '1')
  assert.is(await listed(ours.ca, other.ca), '1', 'with tls.ca')
  assert.is(await listed(join(here.path, 'none'), ours.ca), '1', 'one that is not there')
  const stored = join(process.env.XDG_CONFIG_HOME ?? '', 'containers', 'certs.d', registry.host)
  mkdirSync(stored, { recursive: true })
  writeFileSync(join(stored, 'ca.crt'), readFileSync(other.ca))
  assert.is(await listed(ours.ca), '1', 'with certs.d')
})

test('where Node tells them not, the authorities are its own and what the variable names', async () => {
  await using here = await desk()
  const path = join(here.path, 'extra.pem')
  writeFileSync(path, 'some PEM')
  assert.equal(await usualAuthorities({}, { NODE_EXTRA_CA_CERTS: path }), [...rootCertificates, 'some PEM'])
  assert.equal(await usualAuthorities({}, { NODE_EXTRA_CA_CERTS: join(here.path, 'none') }), [...rootCertificates])
  assert.equal(await usualAuthorities({}, {}), [...rootCertificates])
  assert.equal(await usualAuthorities({ getCACertificates: (of) => [of] }, { NODE_EXTRA_CA_CERTS: path }), ['default'])
})

test.run()
