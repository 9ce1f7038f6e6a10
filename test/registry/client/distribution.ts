import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryDirectory } from '../../support/temporary.ts'

/** Debian's docker-registry, running. */
export interface Distribution extends AsyncDisposable {
  readonly host: string
  /** A directory for the test's own files, removed with it. */
  readonly path: string
  /** What it has written to its log so far. */
  log(): string
}

export interface DistributionOptions {
  /** `user:bcrypt` lines. */
  readonly htpasswd?: string
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string }
}

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

export async function distribution(options: DistributionOptions = {}): Promise<Distribution> {
  const directory = temporaryDirectory('distribution')
  const host = `127.0.0.1:${await freePort()}`
  const { tls, htpasswd } = options
  const config = {
    version: '0.1',
    log: { level: 'warn', accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: join(directory.path, 'data') }, delete: { enabled: true } },
    http: {
      addr: host,
      secret: 'not one',
      ...(tls ? { tls: { certificate: tls.cert, key: tls.key, ...(tls.clientCa ? { clientcas: [tls.clientCa] } : {}) } } : {}),
    },
    ...(htpasswd ? { auth: { htpasswd: { realm: 'tests', path: join(directory.path, 'htpasswd') } } } : {}),
  }
  if (htpasswd) writeFileSync(join(directory.path, 'htpasswd'), htpasswd)
  // JSON is YAML.
  writeFileSync(join(directory.path, 'config.yml'), JSON.stringify(config))
  const child = spawn('docker-registry', ['serve', join(directory.path, 'config.yml')], { stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => {
      log += piece.toString()
    })
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  await answers(host, () => child.exitCode === null && child.signalCode === null)
  return {
    host,
    path: directory.path,
    log: () => log,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
      directory[Symbol.dispose]()
    },
  }
}

async function answers(host: string, isRunning: () => boolean): Promise<void> {
  const { connect } = await import('node:net')
  const [address = '', port = ''] = host.split(':')
  for (let tries = 0; tries < 400; tries += 1) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), address, () => {
        socket.destroy()
        resolve(true)
      })
      socket.on('error', () => resolve(false))
    })
    if (isOpen) return
    if (!isRunning()) throw new Error('docker-registry has ended')
    await sleep(25)
  }
  throw new Error('docker-registry does not listen')
}

/** Runs a program to its end; its output. Rejects with what it says when it fails. */
export function run(command: string, ...args: string[]): string {
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (done.error) throw done.error
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.stderr}`)
  return done.stdout
}

export interface Authority {
  /** Paths of PEM files. */
  readonly ca: string
  readonly cert: string
  readonly key: string
  readonly clientCert: string
  readonly clientKey: string
}

/** A certificate authority, a certificate of its for 127.0.0.1 and localhost, and one for a client. */
export function authority(directory: string): Authority {
  const at = (name: string): string => join(directory, name)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  run('openssl', 'req', '-x509', ...key, '-keyout', at('ca.key'), '-out', at('ca.crt'), '-days', '2', '-subj', '/CN=test authority')
  for (const [name, extension] of [
    ['server', 'subjectAltName=IP:127.0.0.1,DNS:localhost'],
    ['client', 'extendedKeyUsage=clientAuth'],
  ] as const) {
    writeFileSync(at(`${name}.ext`), extension)
    run('openssl', 'req', ...key, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`), '-subj', `/CN=${name}`)
    const signed = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', at(`${name}.ext`)]
    run('openssl', 'x509', '-req', '-in', at(`${name}.csr`), '-out', at(`${name}.crt`), ...signed)
  }
  return { ca: at('ca.crt'), cert: at('server.crt'), key: at('server.key'), clientCert: at('client.crt'), clientKey: at('client.key') }
}
