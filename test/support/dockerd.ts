import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const tries = 600

/** A dockerd of a test's own: its directories, its socket, no network, and a mount namespace, so that no other test sees what it mounts. */
export interface Dockerd extends AsyncDisposable {
  /** Runs the client; resolves to what it printed, without the last line's end. */
  docker(...args: string[]): Promise<string>
}

/** By root only. `driver` keeps its images, by default vfs, which works anywhere. Rejects with the daemon's log when it does not start within a minute. */
export async function startDockerd(directory: string, { driver = 'vfs' } = {}): Promise<Dockerd> {
  const socket = join(directory, 'd.sock')
  const log = join(directory, 'log')
  const places = ['--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec'), '--pidfile', join(directory, 'pid')]
  const modest = ['--storage-driver', driver, '--bridge=none', '--iptables=false', '--default-ulimit', 'nofile=20000:20000']
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, DOCKER_CONFIG: join(directory, 'config') }
  const output = openSync(log, 'a')
  // unshare(1) execs: the pid is dockerd's own.
  const child = spawn('unshare', ['--mount', 'dockerd', ...places, ...modest, '-H', `unix://${socket}`], {
    stdio: ['ignore', output, output],
    env,
  })
  const ended = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
  }
  const docker = async (...args: string[]): Promise<string> =>
    (await execute('docker', ['-H', `unix://${socket}`, ...args], { env, maxBuffer: 64 * 1024 * 1024 })).stdout.trimEnd()
  for (let at = 0; at < tries && child.exitCode === null; at += 1) {
    if (existsSync(socket) && (await docker('version').catch(() => undefined)) !== undefined) {
      return { docker, [Symbol.asyncDispose]: stop }
    }
    await sleep(100)
  }
  if (child.exitCode === null) await stop()
  throw new Error(`dockerd did not start: ${readFileSync(log, 'utf8').slice(-1000)}`)
}
