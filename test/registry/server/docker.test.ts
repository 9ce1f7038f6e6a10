import * as assert from 'uvu/assert'
import { image, registry } from '../../../lib/index.ts'
import { startDockerd } from '../../support/dockerd.ts'
import { has } from '../../support/machine.ts'
import { skip, testAs } from '../../support/skip.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'

testAs(test, ['root'], 'dockerd pulls a built image and runs it, and what it pushes is pulled back unchanged', async () => {
  if (!has('dockerd') || !has('docker')) return skip('docker is not installed')
  using directory = temporaryDirectory('d')
  await image('host').copy({ 'etc/motd': 'hello docker\n' }, '/').build({ tag: 'docker/built:1' })
  await using r = await registry({ auth: { me: 'secret' } })
  await using daemon = await startDockerd(directory.path)
  await daemon.docker('login', '--username', 'me', '--password', 'secret', r.host)
  await daemon.docker('pull', '--quiet', `${r.host}/docker/built:1`)
  assert.is(await daemon.docker('run', '--rm', '--network', 'none', `${r.host}/docker/built:1`, 'cat', '/etc/motd'), 'hello docker')

  const created = await daemon.docker('create', '--network', 'none', `${r.host}/docker/built:1`, 'true')
  await daemon.docker('commit', created, `${r.host}/docker/pushed:2`)
  await daemon.docker('push', '--quiet', `${r.host}/docker/pushed:2`)
  await daemon.docker('rm', created)
  const digests = await daemon.docker('image', 'inspect', '--format', '{{json .RepoDigests}}', `${r.host}/docker/pushed:2`)
  const { stdout } = await image('docker/pushed:2').exec(['cat', '/etc/motd'])
  assert.is(stdout, 'hello docker\n')
  const authorization = `Basic ${Buffer.from('me:secret').toString('base64')}`
  const answer = await fetch(`${r.url}/v2/docker/pushed/manifests/2`, { headers: { authorization } })
  assert.equal(JSON.parse(digests), [`${r.host}/docker/pushed@${answer.headers.get('docker-content-digest')}`])
  assert.is(answer.headers.get('content-type'), 'application/vnd.docker.distribution.manifest.v2+json')
})

test.run()
