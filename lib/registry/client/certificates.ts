import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StrakeError } from '../../errors/index.ts'
import { failedWith, homeDirectory } from '../../store/index.ts'
import type { RemoteTls } from './options.ts'

/** TLS settings as the HTTP client takes them. */
export interface Certificates {
  readonly ca: readonly string[]
  readonly cert?: string
  readonly key?: string
}

/** Where Docker and containers/image look for a host's certificates (containers-certs.d(5)), the first one first. */
export function certificateDirectories(host: string, env: NodeJS.ProcessEnv = process.env): string[] {
  const home = homeDirectory(env)
  const own = env.XDG_CONFIG_HOME || (home && join(home, '.config'))
  return [...(own ? [join(own, 'containers'), join(own, 'docker')] : []), '/etc/containers', '/etc/docker'].map((each) =>
    join(each, 'certs.d', host),
  )
}

function pem(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
  throw new StrakeError('invalid_argument', 'tls.ca, tls.cert and tls.key are PEM, as text or bytes')
}

/** The certificates of a PEM text, each parsed: OpenSSL takes what is none for nothing to trust, and says nothing. */
function certificatesIn(text: string, what: string): X509Certificate[] {
  const found = text.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g) ?? []
  if (found.length === 0) throw new StrakeError('invalid_argument', `${what} has no certificate in PEM`)
  return found.map((each) => {
    try {
      return new X509Certificate(each)
    } catch (cause) {
      throw new StrakeError('invalid_argument', `${what} has a certificate that is none`, { cause })
    }
  })
}

function checkPair(cert: string, key: string, names: readonly [cert: string, key: string]): void {
  const [first] = certificatesIn(cert, names[0])
  let isPair: boolean | undefined
  try {
    isPair = first?.checkPrivateKey(createPrivateKey(key))
  } catch (cause) {
    throw new StrakeError('invalid_argument', `${names[1]} is no private key in PEM, or one that is encrypted`, { cause })
  }
  if (!isPair) throw new StrakeError('invalid_argument', `${names[1]} is not the key of ${names[0]}`)
}

/** Throws `invalid_argument` for what is no PEM. */
export function givenCertificates(tls: RemoteTls): Certificates {
  const { ca, cert, key } = tls
  if ((cert === undefined) !== (key === undefined))
    throw new StrakeError('invalid_argument', 'tls.cert and tls.key are given together or not at all')
  const authorities: readonly unknown[] = Array.isArray(ca) ? ca : ca === undefined ? [] : [ca]
  const all = authorities.map(pem)
  for (const each of all) certificatesIn(each, 'tls.ca')
  if (cert === undefined || key === undefined) return { ca: all }
  const pair = { cert: pem(cert), key: pem(key) }
  checkPair(pair.cert, pair.key, ['tls.cert', 'tls.key'])
  return { ca: all, ...pair }
}

/**
 * The certificates that this machine keeps for a host: `*.crt` are authorities, `x.cert` with `x.key` are the client's. Rejects with `invalid_argument` for
 * one that cannot be read, is no PEM, or lacks its other half.
 */
export async function storedCertificates(host: string, env: NodeJS.ProcessEnv = process.env): Promise<Certificates> {
  const ca: string[] = []
  let client: { cert: string; key: string } | undefined
  for (const directory of certificateDirectories(host, env)) {
    const names = await namesIn(directory)
    for (const name of names.filter((each) => each.endsWith('.crt'))) {
      const path = join(directory, name)
      const text = await readPem(path)
      certificatesIn(text, path)
      ca.push(text)
    }
    const [first] = pairsIn(directory, names)
    if (first === undefined || client !== undefined) continue
    client = { cert: await readPem(first.cert), key: await readPem(first.key) }
    checkPair(client.cert, client.key, [first.cert, first.key])
  }
  return { ca, ...client }
}

function pairsIn(directory: string, names: readonly string[]): { readonly cert: string; readonly key: string }[] {
  const halves = { '.cert': '.key', '.key': '.cert' } as const
  for (const [half, other] of Object.entries(halves))
    for (const name of names.filter((each) => each.endsWith(half)))
      if (!names.includes(`${name.slice(0, -half.length)}${other}`))
        throw new StrakeError('invalid_argument', `${join(directory, name)} has no ${other} of that name beside it`, {
          hint: 'x.cert and x.key are a client’s certificate and its key; authorities are in files that end in .crt',
        })
  const certs = names.filter((each) => each.endsWith('.cert')).map((name) => join(directory, name))
  return certs.map((cert) => ({ cert, key: cert.replace(/\.cert$/, '.key') }))
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'latin1')
  } catch (cause) {
    throw new StrakeError('invalid_argument', `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      hint: 'it is one of the certificates that are stored for this host; { tls } does without them',
      cause,
    })
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort()
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return []
    throw error
  }
}
