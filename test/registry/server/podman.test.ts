import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image, registry } from '../../../lib/index.ts'
import { has, isRoot } from '../../support/machine.ts'
import { skip, testAs } from '../../support/skip.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { run } from './command.ts'

// test: timeout 300

/** podman on storage of its own; root's leaves its mounts in a mount namespace that ends with it. */
function podman(directory: string, ...args: string[]): Promise<string> {
  const storage = ['--root', 's', '--runroot', 'r', '--tmpdir', 't'].map((each) => (each.startsWith('-') ? each : join(directory, each)))
  const all = [...storage, '--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none', ...args]
  const env = { ...process.env, HOME: directory, XDG_RUNTIME_DIR: directory }
  return isRoot ? run('unshare', ['--mount', 'podman', ...all], env) : run('podman', all, env)
}

// With a single id podman has nobody to give the files of a layer to.
testAs(test, ['root', 'subid'], 'podman pulls a built image, pushes it under another name, and what it pushed is built upon', async () => {
  if (!has('podman')) return skip('podman is not installed')
  // A runroot may have 50 characters, and TMPDIR is longer than that.
  using directory = temporaryDirectory('p', '/tmp')
  const built = await image('host').copy({ 'etc/motd': 'hello podman\n' }, '/').build({ tag: 'podman/built:1' })
  await using r = await registry({ auth: { me: 'secret' } })
  const options = ['--tls-verify=false', '--creds', 'me:secret']
  await podman(directory.path, 'pull', '--quiet', ...options, `${r.host}/podman/built:1`)
  const inspected = JSON.parse(await podman(directory.path, 'inspect', `${r.host}/podman/built:1`))
  assert.is(inspected[0].Digest, built.digest)
  await podman(directory.path, 'tag', `${r.host}/podman/built:1`, `${r.host}/podman/pushed:2`)
  await podman(directory.path, 'push', '--quiet', ...options, `${r.host}/podman/pushed:2`)
  await podman(directory.path, 'rmi', '--all', '--force')
  const { stdout } = await image('podman/pushed:2').exec(['cat', '/etc/motd'])
  assert.is(stdout, 'hello podman\n')
})

test.run()
