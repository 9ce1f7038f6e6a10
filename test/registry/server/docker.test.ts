import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { image, registry } from '../../../lib/index.ts'
import { has } from '../../support/machine.ts'
import { skip, testAs } from '../../support/skip.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { attempt, run } from './command.ts'

interface Daemon extends AsyncDisposable {
  docker(...args: string[]): Promise<string>
}

/** A dockerd of the test's own: its directories, its socket, no network. */
async function startDaemon(directory: string): Promise<Daemon> {
  const socket = `unix://${join(directory, 'd.sock')}`
  const log = join(directory, 'log')
  const places = ['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec'), '--pidfile', join(directory, 'pid')]
  const modest = ['--storage-driver', 'vfs', '--bridge=none', '--iptables=false', '--default-ulimit', 'nofile=20000:20000']
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
  const output = openSync(log, 'a')
  const child = spawn('dockerd', [...places, ...modest, '-H', socket], { stdio: ['ignore', output, output], env })
  const ended = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
  }
  for (let at = 0; at < 300; at += 1) {
    if (child.exitCode !== null) break
    if (existsSync(join(directory, 'd.sock')) && (await attempt('docker', ['-H', socket, 'version'])).code === 0) {
      const config = { ...process.env, DOCKER_CONFIG: join(directory, 'config') }
      return { docker: (...args) => run('docker', ['-H', socket, ...args], config), [Symbol.asyncDispose]: stop }
    }
    await sleep(100)
  }
  if (child.exitCode === null) await stop()
  throw new Error(`dockerd did not start: ${readFileSync(log, 'utf8').slice(-1000)}`)
}

testAs(test, ['root'], 'dockerd pulls a built image and runs it, and what it pushes is pulled back unchanged', async () => {
  if (!has('dockerd') || !has('docker')) return skip('docker is not installed')
  using directory = temporaryDirectory('d')
  await image('host').copy({ 'etc/motd': 'hello docker\n' }, '/').build({ tag: 'docker/built:1' })
  await using r = await registry({ auth: { me: 'secret' } })
  await using daemon = await startDaemon(directory.path)
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
