import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { collectGarbage } from '../../../lib/images/index.ts'
import { RegistryServer } from '../../../lib/registry/index.ts'
import { digestOf, Store } from '../../../lib/store/index.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { descriptorOf, Fixture, imageManifest, manifestType } from './fixture.ts'

// test: timeout 600

class Other implements AsyncDisposable {
  readonly url: string
  readonly #child: ChildProcess

  private constructor(url: string, child: ChildProcess) {
    this.url = url
    this.#child = child
  }

  static async start(root: string): Promise<Other> {
    const script = fileURLToPath(new URL('serve.ts', import.meta.url))
    const child = spawn(process.execPath, ['--import', 'tsx', script, root], { stdio: ['pipe', 'pipe', 'inherit'] })
    const [line] = await once(child.stdout, 'data')
    return new Other(String(line).trim(), child)
  }

  async ask(method: string, path: string, body?: string | Uint8Array, type?: string): Promise<Response> {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
    return await fetch(`${this.url}${path}`, { method, headers, body: body ?? null })
  }

  async push(repository: string, tag: string, layer: string, more: Record<string, unknown> = {}): Promise<string> {
    for (const blob of ['{}', layer]) {
      const { status } = await this.ask('POST', `/v2/${repository}/blobs/uploads/?digest=${digestOf(blob)}`, blob)
      assert.is(status, 201)
    }
    const { text, digest } = imageManifest('{}', [layer], more)
    const { status } = await this.ask('PUT', `/v2/${repository}/manifests/${tag === '' ? digest : tag}`, text, manifestType)
    assert.is(status, 201)
    return digest
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

test('what a killed registry was receiving is removed by the next one', async () => {
  using directory = temporaryDirectory()
  await using other = await Other.start(directory.path)
  const begun = await other.ask('POST', '/v2/a/blobs/uploads/')
  const path = String(begun.headers.get('location'))
  assert.is((await other.ask('PATCH', path, 'abc')).status, 202)
  await other.kill()
  assert.is(readdirSync(join(directory.path, 'tmp')).length, 1)
  await using r = await RegistryServer.listen({ root: directory.path })
  assert.equal(readdirSync(join(directory.path, 'tmp')), [])
  assert.is((await fetch(`${r.url}${path}`)).status, 404)
})

test('garbage collection keeps every manifest of a repository, and what is pushed but not named yet while its registry lives', async () => {
  using directory = temporaryDirectory()
  const store = await Store.open(directory.path)
  await using other = await Other.start(directory.path)
  const old = await other.push('a', 'latest', 'old')
  const young = await other.push('a', 'latest', 'young')
  const signature = await other.push('a', '', 'signature', { subject: descriptorOf('elsewhere', manifestType) })
  assert.is((await other.ask('POST', `/v2/a/blobs/uploads/?digest=${digestOf('orphan')}`, 'orphan')).status, 201)
  await collectGarbage(store)
  assert.is(await (await other.ask('GET', `/v2/a/blobs/${digestOf('orphan')}`)).text(), 'orphan')
  await other.kill()
  assert.equal((await collectGarbage(store)).blobs, [digestOf('orphan')])
  {
    await using r = await RegistryServer.listen({ root: directory.path })
    for (const digest of [old, young, signature]) assert.is((await fetch(`${r.url}/v2/a/manifests/${digest}`)).status, 200)
    for (const blob of ['old', 'young', 'signature']) assert.is(await (await fetch(`${r.url}/v2/a/blobs/${digestOf(blob)}`)).text(), blob)
    assert.is((await fetch(`${r.url}/v2/a/blobs/${digestOf('orphan')}`)).status, 404)
    assert.is((await fetch(`${r.url}/v2/a/manifests/${old}`, { method: 'DELETE' })).status, 202)
  }
  assert.equal([...(await collectGarbage(store)).blobs].sort(), [old, digestOf('old')].sort())
})

test('images pushed while garbage is collected are whole', async () => {
  await using f = await Fixture.start()
  let isOver = false
  const collector = (async () => {
    const store = await Store.open(f.registry.root)
    while (!isOver) await collectGarbage(store)
  })()
  for (let round = 0; round < 4; round += 1)
    await Promise.all([1, 2, 3].map((each) => f.pushImage(`r${each}`, `t${round}`, `layer ${round} ${each}`)))
  isOver = true
  await collector
  for (let round = 0; round < 4; round += 1) {
    for (const each of [1, 2, 3]) assert.is((await f.ask('GET', `/v2/r${each}/blobs/${digestOf(`layer ${round} ${each}`)}`)).status, 200)
  }
})

test('killed at any instant, the store opens clean and the same push then succeeds', async () => {
  using directory = temporaryDirectory()
  const tries = Number(process.env.STRAKE_TEST_KILLS ?? 20)
  for (let at = 0; at < tries; at += 1) {
    await using other = await Other.start(directory.path)
    const layer = `layer ${at} `.repeat(50_000)
    const pushing = other.push('a', `t${at}`, layer).then(
      () => true,
      () => false,
    )
    await sleep((at * 50) / tries)
    await other.kill()
    await pushing
    const store = await Store.open(directory.path)
    assert.equal(readdirSync(store.path('tmp')), [])
    for await (const { digest } of store.blobs.list()) await store.blobs.read(digest)
    for (const { descriptor } of await store.refs.list()) assert.ok(await store.blobs.has(descriptor.digest))
  }
  await using other = await Other.start(directory.path)
  for (let at = 0; at < tries; at += 1) await other.push('a', `t${at}`, `layer ${at} `.repeat(50_000))
  const { tags } = JSON.parse(await (await other.ask('GET', '/v2/a/tags/list')).text())
  assert.is(tags.length, tries)
})

test.run()
