import { readdir, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { StrakeError } from '../../errors/index.ts'
import { failedWith } from '../../store/index.ts'
import type { RemoteTls } from './options.ts'

/** TLS settings as the HTTP client takes them. */
export interface Certificates {
  readonly ca: readonly string[]
  readonly cert?: string
  readonly key?: string
}

/** Where Docker and containers/image look for a host's certificates (containers-certs.d(5)), the first one first. */
export function certificateDirectories(host: string, env: NodeJS.ProcessEnv = process.env): string[] {
  const own = env.XDG_CONFIG_HOME || join(homedir(), '.config')
  return [join(own, 'containers'), join(own, 'docker'), '/etc/containers', '/etc/docker'].map((each) => join(each, 'certs.d', host))
}

function text(value: string | Uint8Array): string {
  return typeof value === 'string' ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
}

export function givenCertificates(tls: RemoteTls): Certificates {
  const { ca, cert, key } = tls
  if ((cert === undefined) !== (key === undefined))
    throw new StrakeError('invalid_argument', 'tls.cert and tls.key are given together or not at all')
  const authorities = ca === undefined ? [] : typeof ca === 'string' || ca instanceof Uint8Array ? [ca] : [...ca]
  for (const each of [...authorities, cert, key])
    if (each !== undefined && typeof each !== 'string' && !(each instanceof Uint8Array))
      throw new StrakeError('invalid_argument', 'tls.ca, tls.cert and tls.key are PEM, as text or bytes')
  return { ca: authorities.map(text), ...(cert !== undefined && key !== undefined ? { cert: text(cert), key: text(key) } : {}) }
}

/** The certificates that this machine keeps for a host: `*.crt` are authorities, `x.cert` with `x.key` are the client's. */
export async function storedCertificates(host: string, env: NodeJS.ProcessEnv = process.env): Promise<Certificates> {
  const ca: string[] = []
  let client: { cert: string; key: string } | undefined
  for (const directory of certificateDirectories(host, env)) {
    const names = await namesIn(directory)
    for (const name of names.filter((each) => each.endsWith('.crt'))) ca.push(await readFile(join(directory, name), 'latin1'))
    const pair = names.find((each) => each.endsWith('.cert') && names.includes(each.replace(/\.cert$/, '.key')))
    if (pair === undefined || client !== undefined) continue
    client = {
      cert: await readFile(join(directory, pair), 'latin1'),
      key: await readFile(join(directory, pair.replace(/\.cert$/, '.key')), 'latin1'),
    }
  }
  return { ca, ...client }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort()
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return []
    throw error
  }
}
