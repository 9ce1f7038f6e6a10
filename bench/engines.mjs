// Other engines, as commands: a dockerd of its own, podman with storage of its own. What they print is kept for when they fail.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const isRoot = process.getuid?.() === 0

/** Milliseconds that a command took. Throws where it fails. */
export function run(command, args, options = {}) {
  const begin = performance.now()
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26, ...options })
  if (done.status !== 0)
    throw new Error(`${command} ${args.slice(0, 6).join(' ')}: ${done.error?.message ?? `${done.stdout}${done.stderr}`.slice(-500)}`)
  return performance.now() - begin
}

export async function timed(work) {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}

/** A dockerd with all it has in `place`: Debian's client has no buildx, so its builds are those of the classic builder. As root only. */
export async function startDocker(place) {
  mkdirSync(place)
  const socket = join(place, 'd.sock')
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, DOCKER_CONFIG: join(place, 'config'), DOCKER_BUILDKIT: '0' }
  const places = ['--data-root', join(place, 'data'), '--exec-root', join(place, 'exec'), '--pidfile', join(place, 'pid')]
  const modest = ['--bridge=none', '--iptables=false', '--default-ulimit', 'nofile=20000:20000']
  const child = spawn('unshare', ['--mount', 'dockerd', ...places, ...modest, '-H', `unix://${socket}`], { stdio: 'ignore', env })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const docker = (...args) => run('docker', ['-H', `unix://${socket}`, ...args], { env })
  for (let at = 0; at < 300; at += 1) {
    if (existsSync(socket) && spawnSync('docker', ['-H', `unix://${socket}`, 'version'], { env }).status === 0) break
    await sleep(100)
  }
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  return { docker, stop }
}

/** Milliseconds that a podman with all it has in `place` took. */
export function podman(place, ...args) {
  const storage = ['--root', join(place, 'podman'), '--runroot', join(place, 'run'), '--tmpdir', join(place, 't')]
  const all = [...storage, '--cgroup-manager', 'cgroupfs', '--events-backend', 'none', ...args]
  const env = { ...process.env, TMPDIR: place }
  // crun 1.8 refuses a hybrid hierarchy of cgroups: the unified half is taken out of its sight.
  const hidden = 'umount /sys/fs/cgroup/unified 2> /dev/null; exec podman "$@"'
  return isRoot ? run('unshare', ['--mount', 'sh', '-c', hidden, 'sh', ...all], { env }) : run('podman', all, { env })
}

async function freePort() {
  const probe = createServer()
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** Debian's docker-registry on an empty directory. */
export async function startRegistry(place) {
  const host = `127.0.0.1:${await freePort()}`
  mkdirSync(place)
  const config = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(place, 'data') } },
    http: { addr: host, secret: 'not one' },
  }
  writeFileSync(join(place, 'config.yml'), JSON.stringify(config))
  const child = spawn('docker-registry', ['serve', join(place, 'config.yml')], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const isUp = () =>
    fetch(`http://${host}/v2/`).then(
      ({ ok }) => ok,
      () => false,
    )
  for (let tries = 0; tries < 400 && !(await isUp()); tries += 1) await sleep(25)
  const stop = async () => {
    child.kill('SIGKILL')
    await ended
  }
  return { host, stop }
}
