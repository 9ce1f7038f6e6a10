import { StrakeError } from '../../errors/index.ts'
import { type CredentialFile, credentialFiles, readCredentialFile } from './credential-files.ts'
import { askHelper, type HelperAnswer } from './credential-helper.ts'
import type { RemoteAuth } from './options.ts'

/** What a registry, or its token service, is told of who asks. */
export type Credentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token, to be changed for a registry's token. */
  | { readonly kind: 'identity'; readonly token: string }
  /** A registry's token as it is. */
  | { readonly kind: 'bearer'; readonly token: string }

export interface FoundCredentials {
  readonly credentials: Credentials | undefined
  /** What kept a file or helper from being asked. */
  readonly problems: readonly StrakeError[]
}

export function givenCredentials(auth: RemoteAuth): Credentials {
  const wrong = (what: string): StrakeError => new StrakeError('invalid_argument', `auth is { username, password } or { token }: ${what}`)
  if (typeof auth !== 'object' || auth === null) throw wrong('it is not an object')
  if ('token' in auth) {
    if (typeof auth.token !== 'string' || !/^[\x21-\x7e]+$/.test(auth.token)) throw wrong('the token is not one word of plain characters')
    return { kind: 'bearer', token: auth.token }
  }
  const { username, password } = auth
  if (typeof username !== 'string' || typeof password !== 'string') throw wrong('both are strings')
  if (username.includes(':')) throw wrong('a username has no colon (RFC 7617)')
  return { kind: 'basic', username, password }
}

/** The credentials that this user has stored for a repository of a host. A file or helper that cannot be read is passed over, and told. */
export async function storedCredentials(
  host: string,
  repository: string,
  options: { readonly env?: NodeJS.ProcessEnv; readonly signal?: AbortSignal | undefined } = {},
): Promise<FoundCredentials> {
  const problems: StrakeError[] = []
  for (const file of credentialFiles(options.env)) {
    try {
      const config = await readConfig(file)
      const credentials = config && (await credentialsIn(config, host, repository, options))
      if (credentials) return { credentials, problems }
    } catch (error) {
      if (!(error instanceof StrakeError) || error.code === 'aborted') throw error
      problems.push(error)
    }
  }
  return { credentials: undefined, problems }
}

type Json = Readonly<Record<string, unknown>>

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {}
}

function stringIn(object: Json, name: string): string | undefined {
  const value = Object.hasOwn(object, name) ? object[name] : undefined
  return typeof value === 'string' && value !== '' ? value : undefined
}

async function readConfig(file: CredentialFile): Promise<Json | undefined> {
  try {
    const text = await readCredentialFile(file)
    return text === undefined ? undefined : objectOf(JSON.parse(text))
  } catch (cause) {
    throw new StrakeError('registry_unauthorized', `the credentials in ${file.path} cannot be read`, {
      // A syntax error would quote the file.
      cause: cause instanceof SyntaxError ? undefined : cause,
      hint: 'it is JSON, as docker login and podman login write it',
      details: { file: file.path },
    })
  }
}

/** Docker Hub's name for itself in such files. */
const hubServer = 'https://index.docker.io/v1/'

/** The most particular key that fits: `host/org/app`, `host/org`, `host`, and the older spellings with a scheme and a path. */
function keysFor(host: string, repository: string): string[] {
  const parts = repository.split('/').filter(Boolean)
  const paths = parts.map((_, index) => `${host}/${parts.slice(0, parts.length - index).join('/')}`)
  return [...paths, host, ...(host === 'docker.io' ? [hubServer, 'index.docker.io', 'registry-1.docker.io'] : [])]
}

function normalKey(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/v[12]\/?$|\/$/, '')
}

async function credentialsIn(
  config: Json,
  host: string,
  repository: string,
  options: { readonly env?: NodeJS.ProcessEnv; readonly signal?: AbortSignal | undefined },
): Promise<Credentials | undefined> {
  const keys = keysFor(host, repository)
  const helpers = objectOf(config.credHelpers)
  const helper = keys.map((key) => stringIn(helpers, key)).find((each) => each !== undefined) ?? stringIn(config, 'credsStore')
  let problem: unknown
  if (helper !== undefined) {
    const asked = askHelper(helper, host === 'docker.io' ? hubServer : host, options)
    const answer = await asked.catch((error: unknown) => {
      problem = error
      return undefined
    })
    if (answer) return fromHelper(answer)
  }
  const entry = entryFor(objectOf(config.auths), keys)
  const found = entry && fromEntry(entry)
  if (found === undefined && problem !== undefined) throw problem
  return found
}

function fromHelper({ username, secret }: HelperAnswer): Credentials {
  return username === '<token>' ? { kind: 'identity', token: secret } : { kind: 'basic', username, password: secret }
}

function entryFor(auths: Json, keys: readonly string[]): Json | undefined {
  for (const key of keys) {
    if (Object.hasOwn(auths, key)) return objectOf(auths[key])
    const other = Object.keys(auths).find((each) => normalKey(each) === normalKey(key))
    if (other !== undefined) return objectOf(auths[other])
  }
  return undefined
}

function fromEntry(entry: Json): Credentials | undefined {
  const identity = stringIn(entry, 'identitytoken')
  if (identity !== undefined) return { kind: 'identity', token: identity }
  const bearer = stringIn(entry, 'registrytoken')
  if (bearer !== undefined && /^[\x21-\x7e]+$/.test(bearer)) return { kind: 'bearer', token: bearer }
  const plain = Buffer.from(stringIn(entry, 'auth') ?? '', 'base64').toString()
  const colon = plain.indexOf(':')
  if (colon >= 0) return { kind: 'basic', username: plain.slice(0, colon), password: plain.slice(colon + 1).replace(/\0+$/, '') }
  const username = stringIn(entry, 'username')
  const password = stringIn(entry, 'password')
  return username !== undefined && password !== undefined ? { kind: 'basic', username, password } : undefined
}
