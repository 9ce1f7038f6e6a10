// HOSTILE.md, I07 and I08, and who a registry is told that asks.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { delimiter, dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { checkRealm } from '../../../lib/registry/client/authorizer.ts'
import { type PullOptions, pullImage, storedCredentials } from '../../../lib/registry/index.ts'
import { amd64 } from '../../images/maker.ts'
import { test } from '../../support/uvu.ts'
import { desk, failure, type Pretender, pretend, type Request, sendBytes, type Trick } from './pretender.ts'

const me = { username: 'me', password: 'pa:ss wörd' }
const basic = `Basic ${Buffer.from(`${me.username}:${me.password}`).toString('base64')}`
const quick: PullOptions = { retries: 1, platform: 'linux/amd64' }

function wantsBasic(request: Request, response: ServerResponse): boolean | undefined {
  if (request.headers.authorization === basic) return undefined
  response.writeHead(401, { 'www-authenticate': 'Basic realm="here"' }).end()
  return true
}

interface TokenOptions {
  readonly realm?: string
  readonly life?: number
  /** Of how many requests a token is good for. */
  readonly uses?: number
}

/** A registry with a token service of its own at /token, which knows `me`. */
function wantsToken(host: () => string, { realm, life, uses = 1000 }: TokenOptions = {}): Trick {
  let count = 0
  const left = new Map<string, number>()
  return (request, response) => {
    if (request.path === '/token') {
      if (request.headers.authorization !== undefined && request.headers.authorization !== basic) {
        response.writeHead(401).end()
        return true
      }
      count += 1
      left.set(`Bearer t${count}`, uses)
      response.end(JSON.stringify({ token: `t${count}`, ...(life ? { expires_in: life } : {}) }))
      return true
    }
    const said = request.headers.authorization ?? ''
    const remaining = left.get(said) ?? 0
    left.set(said, remaining - 1)
    if (remaining > 0) return undefined
    const scope = `repository:${/^\/v2\/(.+)\/(?:manifests|blobs)\//.exec(request.path)?.[1]}:pull`
    response
      .writeHead(401, { 'www-authenticate': `Bearer realm="${realm ?? `http://${host()}/token`}",service="a \\"b\\"",scope="${scope}"` })
      .end()
    return true
  }
}

function tokenRequests(registry: Pretender): Request[] {
  return registry.requests.filter(({ path }) => path === '/token')
}

test('basic: credentials are sent once they are asked for, and not before', async () => {
  await using registry = await pretend({ 'app:1': amd64 }, { trick: wantsBasic })
  await using here = await desk()
  await pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth: me })
  const manifests = registry.requests.filter(({ path }) => path.includes('manifests'))
  assert.equal(
    manifests.map(({ headers }) => headers.authorization),
    [undefined, basic],
  )
})

test('basic: without credentials, and with wrong ones, it is registry_unauthorized with a hint, after two requests at most', async () => {
  await using registry = await pretend({ 'app:1': amd64 }, { trick: wantsBasic })
  await using here = await desk()
  for (const auth of [undefined, { username: 'me', password: 'wrong' }, { token: 'x' }] as const) {
    registry.requests.length = 0
    const error = await failure(pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth }))
    assert.is(error.code, 'registry_unauthorized')
    assert.ok(error.hint)
    assert.not.match(error.message + error.hint, 'wrong')
    assert.ok(registry.requests.filter(({ path }) => path.includes('manifests')).length <= 2)
  }
})

test('basic: a token is said to be of no use there, and what is', async () => {
  await using registry = await pretend({ 'app:1': amd64 }, { trick: wantsBasic })
  await using here = await desk()
  const error = await failure(pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth: { token: 'x' } }))
  assert.is(error.code, 'registry_unauthorized')
  assert.match(error.message, 'takes a user name and a password (Basic), and there is only a token')
  assert.match(error.hint ?? '', 'a token is for registries that take one (Bearer)')
})

test('token: one for the whole pull, for scope and service, by the credentials given', async () => {
  await using registry = await pretend({ 'org/app:1': amd64 })
  registry.tricks.push(wantsToken(() => registry.host))
  await using here = await desk()
  await pullImage(here.store, `${registry.host}/org/app:1`, { ...quick, auth: me })
  const [asked, ...more] = tokenRequests(registry)
  assert.is(more.length, 0)
  assert.is(asked?.headers.authorization, basic)
  assert.is(asked?.query.get('scope'), 'repository:org/app:pull')
  assert.is(asked?.query.get('service'), 'a "b"')
})

test('token: nameless where there are no credentials', async () => {
  await using registry = await pretend({ 'app:1': amd64 })
  registry.tricks.push(wantsToken(() => registry.host))
  await using here = await desk()
  await pullImage(here.store, `${registry.host}/app:1`, quick)
  assert.equal(
    tokenRequests(registry).map(({ headers }) => headers.authorization),
    [undefined],
  )
})

test('token: the next call uses it again, and one that is no longer good is renewed', async () => {
  await using registry = await pretend({ 'app:1': amd64 })
  registry.tricks.push(wantsToken(() => registry.host, { uses: 5 }))
  await using here = await desk()
  for (let each = 0; each < 4; each += 1) await pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth: me })
  const count = tokenRequests(registry).length
  assert.ok(count >= 2 && count <= 3, `${count} tokens`)
})

test('token: one that is about to expire is not used', async () => {
  await using registry = await pretend({ 'app:1': amd64 })
  registry.tricks.push(wantsToken(() => registry.host, { life: 1 }))
  await using here = await desk()
  await pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth: me })
  assert.ok(tokenRequests(registry).length > 1)
})

test('I08 401 for ever: a bounded number of tries', async () => {
  await using registry = await pretend({ 'app:1': amd64 })
  registry.tricks.push(wantsToken(() => registry.host, { uses: 0 }))
  await using here = await desk()
  const error = await failure(pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth: me }))
  assert.is(error.code, 'registry_unauthorized')
  assert.ok(registry.requests.length < 10, `${registry.requests.length} requests`)
})

for (const answer of ['not json', '{}', '{"token":7}', '{"token":"a\\r\\nb"}', '[]', 'null']) {
  test(`a token service that answers ${answer} is refused as registry_protocol`, async () => {
    await using registry = await pretend({ 'app:1': amd64 })
    registry.tricks.push(
      wantsToken(() => registry.host),
      (request, response) => {
        if (request.path !== '/token') return undefined
        response.end(answer)
        return true
      },
    )
    await using here = await desk()
    assert.is((await failure(pullImage(here.store, `${registry.host}/app:1`, quick))).code, 'registry_protocol')
  })
}

test('I08 a realm on another host gets no request over plain HTTP', async () => {
  await using elsewhere = await pretend({})
  await using registry = await pretend({ 'app:1': amd64 })
  registry.tricks.push(wantsToken(() => registry.host, { realm: `http://localhost:${elsewhere.port}/token` }))
  await using here = await desk()
  assert.is((await failure(pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth: me }))).code, 'registry_protocol')
  assert.is(elsewhere.requests.length, 0)
})

/** Registry, realm, whether it may be asked. */
const realms: readonly [string, string | undefined, boolean][] = [
  ['https://registry.example/', 'https://registry.example/token', true],
  ['https://registry.example/', 'https://registry.example:8443/token', true],
  ['https://registry.example/', 'https://auth.example/token', true],
  ['https://registry.example/', 'http://registry.example/token', false],
  ['https://registry.example/', 'http://auth.example/token', false],
  ['https://registry.example/', 'https://127.0.0.1/token', false],
  ['https://registry.example/', 'https://[::1]/token', false],
  ['https://registry.example/', 'https://localhost/token', false],
  ['https://registry.example/', 'https://10.1.2.3/token', false],
  ['https://registry.example/', 'https://169.254.169.254/latest/', false],
  ['https://registry.example/', 'https://192.168.1.1/token', false],
  ['https://registry.example/', 'https://[fe80::1]/token', false],
  ['https://registry.example/', 'https://[::ffff:127.0.0.1]/token', false],
  ['https://registry.example/', 'https://2130706433/token', false],
  ['https://registry.example/', 'file:///etc/passwd', false],
  ['https://registry.example/', 'https://me:you@auth.example/token', false],
  ['https://registry.example/', '/token', false],
  ['https://registry.example/', '', false],
  ['https://registry.example/', undefined, false],
  ['https://10.0.0.1/', 'https://10.0.0.2/token', true],
  ['http://registry.example/', 'http://registry.example:5001/token', true],
  ['http://registry.example/', 'https://registry.example/token', true],
  ['http://registry.example/', 'https://auth.example/token', false],
  ['http://127.0.0.1:5000/', 'http://127.0.0.1:5001/token', true],
]
for (const [base, realm, isAllowed] of realms) {
  test(`I08 ${base} names ${realm}: ${isAllowed ? 'asked' : 'refused'}`, () => {
    if (isAllowed) assert.is(checkRealm(realm, new URL(base)).href, realm)
    else
      assert.throws(
        () => checkRealm(realm, new URL(base)),
        (error: { code?: string }) => error.code === 'registry_protocol',
      )
  })
}

test('I07 redirected to another host, a blob is fetched there without credentials and cookies', async () => {
  await using storage = await pretend({ 'app:1': amd64 })
  await using registry = await pretend({ 'app:1': amd64 }, { trick: wantsBasic })
  registry.tricks.unshift((request, response) => {
    if (!request.path.includes('/blobs/')) return undefined
    response.writeHead(307, { location: `http://localhost:${storage.port}${request.path}?signature=x%2By` }).end()
    return true
  })
  await using here = await desk()
  await pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth: me })
  assert.ok(storage.requests.length >= 2)
  for (const { headers, query } of storage.requests) {
    assert.is(headers.authorization, undefined)
    assert.is(headers.cookie, undefined)
    assert.is(query.get('signature'), 'x+y')
  }
})

test('I07 another host that asks who asks is told nothing', async () => {
  await using storage = await pretend({}, { trick: wantsBasic })
  await using registry = await pretend({ 'app:1': amd64 }, { trick: wantsBasic })
  registry.tricks.unshift((request, response) => {
    if (!request.path.includes('/blobs/')) return undefined
    response.writeHead(302, { location: `http://${storage.host}${request.path}` }).end()
    return true
  })
  await using here = await desk()
  const error = await failure(pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth: me }))
  assert.is(error.code, 'registry_unauthorized')
  assert.ok(storage.requests.every(({ headers }) => headers.authorization === undefined))
})

test('a redirect within the registry keeps them', async () => {
  await using registry = await pretend({ 'app:1': amd64 }, { trick: wantsBasic })
  registry.tricks.push((request, response) => {
    if (request.path.startsWith('/moved')) {
      if (wantsBasic(request, response)) return true
      sendBytes(request, response, amd64.blobs.get(request.path.slice('/moved/'.length)) ?? Buffer.alloc(0))
      return true
    }
    const digest = /\/blobs\/(.+)$/.exec(request.path)?.[1]
    if (!digest) return undefined
    response.writeHead(302, { location: `/moved/${digest}` }).end()
    return true
  })
  await using here = await desk()
  await pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth: me })
})

function writeJson(path: string, value: unknown): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value))
}

const encode = (username: string, password: string): { auth: string } => ({
  auth: Buffer.from(`${username}:${password}`).toString('base64'),
})

test("credentials are found where docker and podman store them: the most particular name, podman's files first", async () => {
  await using here = await desk()
  const { DOCKER_CONFIG = '', XDG_RUNTIME_DIR = '', XDG_CONFIG_HOME = '' } = process.env
  writeJson(join(DOCKER_CONFIG, 'config.json'), {
    auths: {
      'https://index.docker.io/v1/': encode('hub', 'h'),
      'quay.example': encode('docker', 'd'),
      'https://old.example/v2/': encode('old', 'o:o'),
      'id.example': { identitytoken: 'refresh' },
      'reg.example': { registrytoken: 'plain' },
      'plain.example': { username: 'u', password: 'p' },
      'odd.example': { auth: 7 },
      'local:5000': encode('l', 'l'),
    },
  })
  writeJson(join(XDG_CONFIG_HOME, 'containers', 'auth.json'), { auths: { 'quay.example/org': encode('podman', 'p') } })
  writeJson(join(XDG_RUNTIME_DIR, 'containers', 'auth.json'), { auths: { 'quay.example/org/app': encode('app', 'a') } })
  const found = async (host: string, repository: string): Promise<unknown> => (await storedCredentials(host, repository)).credentials
  const named = (username: string, password: string): object => ({ kind: 'basic', username, password })
  assert.equal(await found('docker.io', 'library/debian'), named('hub', 'h'))
  assert.equal(await found('quay.example', 'org/app'), named('app', 'a'))
  assert.equal(await found('quay.example', 'org/other'), named('podman', 'p'))
  assert.equal(await found('quay.example', 'organs/x'), named('docker', 'd'))
  assert.equal(await found('old.example', 'x'), named('old', 'o:o'))
  assert.equal(await found('id.example', 'x'), { kind: 'identity', token: 'refresh' })
  assert.equal(await found('reg.example', 'x'), { kind: 'bearer', token: 'plain' })
  assert.equal(await found('plain.example', 'x'), named('u', 'p'))
  assert.equal(await found('odd.example', 'x'), undefined)
  assert.equal(await found('local:5000', 'x'), named('l', 'l'))
  assert.equal(await found('local:5001', 'x'), undefined)
  assert.equal(await found('__proto__', 'constructor'), undefined)
  process.env.REGISTRY_AUTH_FILE = join(here.path, 'given.json')
  writeJson(process.env.REGISTRY_AUTH_FILE, { auths: { 'given.example': encode('g', 'g') } })
  assert.equal(await found('given.example', 'x'), named('g', 'g'))
  assert.equal(await found('quay.example', 'org/app'), undefined, 'then nothing else is read')
})

test('a broken file is passed over, and told when nothing else helps', async () => {
  await using registry = await pretend({ 'app:1': amd64 }, { trick: wantsBasic })
  await using here = await desk()
  writeJson(join(process.env.DOCKER_CONFIG ?? '', 'config.json'), '{"auths": {"secret": ')
  const error = await failure(pullImage(here.store, `${registry.host}/app:1`, quick))
  assert.is(error.code, 'registry_unauthorized')
  assert.match((error.cause as Error).message, 'config.json')
  assert.not.match(String(error.cause), 'secret')
  writeJson(join(process.env.XDG_RUNTIME_DIR ?? '', 'containers', 'auth.json'), {
    auths: { [registry.host]: encode(me.username, me.password) },
  })
  await pullImage(here.store, `${registry.host}/app:1`, quick)
})

/** Writes a credential helper of that name and has it found. */
function helper(path: string, name: string, script: string): void {
  const file = join(path, 'bin', `docker-credential-${name}`)
  writeJson(file, `#!/bin/sh\n${script}\n`)
  chmodSync(file, 0o755)
  const bin = join(path, 'bin')
  if (!process.env.PATH?.startsWith(bin)) process.env.PATH = `${bin}${delimiter}${process.env.PATH}`
}

test('a credential helper is asked for the host, for its own hosts first, and may answer with a refresh token or nothing', async () => {
  await using here = await desk()
  helper(here.path, 'all', 'test "$1" = get || exit 3; read -r server; echo "{\\"Username\\":\\"all\\",\\"Secret\\":\\"$server\\"}"')
  helper(here.path, 'token', 'echo \'{"Username":"<token>","Secret":"refresh"}\'')
  helper(here.path, 'none', 'echo "credentials not found in native keychain"; exit 1')
  writeJson(join(process.env.DOCKER_CONFIG ?? '', 'config.json'), {
    credsStore: 'all',
    credHelpers: { 'token.example': 'token', 'none.example': 'none' },
    auths: { 'none.example': encode('in', 'file') },
  })
  assert.equal((await storedCredentials('some.example', 'x')).credentials, { kind: 'basic', username: 'all', password: 'some.example' })
  assert.equal((await storedCredentials('docker.io', 'library/x')).credentials, {
    kind: 'basic',
    username: 'all',
    password: 'https://index.docker.io/v1/',
  })
  assert.equal((await storedCredentials('token.example', 'x')).credentials, { kind: 'identity', token: 'refresh' })
  assert.equal((await storedCredentials('none.example', 'x')).credentials, { kind: 'basic', username: 'in', password: 'file' })
})

const helpers: readonly [string, string][] = [
  ['fails', 'echo secret; exit 1'],
  ['answers nonsense', 'echo secret'],
  ['answers too much', 'head -c 1000000 /dev/zero'],
  ['is missing', ''],
]
for (const [what, script] of helpers) {
  test(`a credential helper that ${what} does not keep a public image from being pulled, and is told where one needs it`, async () => {
    await using registry = await pretend({ 'app:1': amd64 })
    registry.tricks.push(wantsToken(() => registry.host))
    await using here = await desk()
    if (script) helper(here.path, 'bad', script)
    writeJson(join(process.env.DOCKER_CONFIG ?? '', 'config.json'), { credsStore: 'bad' })
    await pullImage(here.store, `${registry.host}/app:1`, quick)
    registry.tricks.push(wantsBasic)
    const error = await failure(pullImage(here.store, `${registry.host}/app:1`, quick))
    assert.is(error.code, 'registry_unauthorized')
    assert.match((error.cause as Error).message, '"bad"')
    assert.not.match((error.cause as Error).message, 'secret')
  })
}

test('a name with a slash is no helper: nothing is run', async () => {
  await using _ = await desk()
  writeJson(join(process.env.DOCKER_CONFIG ?? '', 'config.json'), { credsStore: 'x/../../../bin/sh -c' })
  const { credentials, problems } = await storedCredentials('some.example', 'x')
  assert.is(credentials, undefined)
  assert.is(problems[0]?.code, 'registry_unauthorized')
})

test('a refresh token is changed for a token by POST, and is in no address', async () => {
  await using registry = await pretend({ 'app:1': amd64 })
  registry.tricks.push(wantsToken(() => registry.host))
  await using here = await desk()
  writeJson(join(process.env.DOCKER_CONFIG ?? '', 'config.json'), { auths: { [registry.host]: { identitytoken: 'refresh' } } })
  await pullImage(here.store, `${registry.host}/app:1`, quick)
  const [asked] = tokenRequests(registry)
  assert.is(asked?.method, 'POST')
  assert.is(asked?.query.size, 0)
})

test('a token that is given is sent as it is, to this registry', async () => {
  await using registry = await pretend({ 'app:1': amd64 })
  registry.tricks.push((request, response) => {
    if (request.headers.authorization === 'Bearer mine') return undefined
    response.writeHead(401, { 'www-authenticate': 'Bearer realm="https://elsewhere.example/token"' }).end()
    return true
  })
  await using here = await desk()
  await pullImage(here.store, `${registry.host}/app:1`, { ...quick, auth: { token: 'mine' } })
})

test.run()
