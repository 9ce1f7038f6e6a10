// What a pushed image is called there.
import * as assert from 'uvu/assert'
import { pullImage, pushImage, RegistryServer, remoteTags } from '../../../lib/registry/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { test } from '../../support/uvu.ts'
import { desk, failure, pretend } from './pretender.ts'

const image = makeImage([tar(file('a', 'a'))])
const quick = { retries: 0, compression: 'none' } as const

test('a push by tag and digest puts the image under the tag, if it has that digest', async () => {
  await using from = await pretend({ 'app:1': image })
  await using here = await desk()
  await using there = await desk()
  await using registry = await RegistryServer.listen({ root: there.store.root })
  const pulled = await pullImage(here.store, `${from.host}/app:1`, { retries: 0 })
  const name = `${registry.host}/app:7@${pulled.digest}`
  assert.is((await pushImage(here.store, pulled, name, quick)).reference, name)
  assert.equal(await remoteTags(`${registry.host}/app`), ['7'])
  assert.is((await pullImage(here.store, `${registry.host}/app:7`, { retries: 0 })).digest, pulled.digest)

  const other = `${registry.host}/other:7@sha256:${'0'.repeat(64)}`
  assert.is((await failure(pushImage(here.store, pulled, other, quick))).code, 'digest_mismatch')
  assert.is((await failure(remoteTags(`${registry.host}/other`))).code, 'registry_not_found')

  const untagged = `${registry.host}/untagged@${pulled.digest}`
  assert.is((await pushImage(here.store, pulled, untagged, quick)).reference, untagged)
  assert.equal(await remoteTags(`${registry.host}/untagged`), [])
})

test.run()
