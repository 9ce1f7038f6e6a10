import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image, registry, store } from '../../../lib/index.ts'
import { digestOf } from '../../../lib/store/index.ts'
import { has } from '../../support/machine.ts'
import { skip } from '../../support/skip.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { certificates } from './certificates.ts'
import { attempt, run } from './command.ts'

// test: timeout 300

const plain = ['--src-tls-verify=false', '--dest-tls-verify=false']

/** Copies with what skopeo writes for itself kept apart. */
function skopeo(...args: string[]): Promise<string> {
  return run('skopeo', ['--insecure-policy', ...args])
}

async function blobsOf(directory: string): Promise<string[]> {
  const names = readdirSync(join(directory, 'blobs', 'sha256')).sort()
  for (const name of names) assert.is(digestOf(readFileSync(join(directory, 'blobs', 'sha256', name))), `sha256:${name}`)
  return names
}

function digestIn(directory: string): string {
  return JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')).manifests[0].digest
}

test('skopeo copies a built image out, and in again under another name, unchanged', async () => {
  if (!has('skopeo')) return skip('skopeo is not installed')
  using directory = temporaryDirectory()
  const layout = join(directory.path, 'layout')
  const built = await image('scratch')
    .copy({ 'etc/motd': 'hello\n', large: randomBytes(3_000_000) }, '/')
    .build({ tag: 'built:1' })
  await using r = await registry()
  await skopeo('copy', '--preserve-digests', ...plain, `docker://${r.host}/built:1`, `oci:${layout}:x`)
  assert.is(digestIn(layout), built.digest)
  await skopeo('copy', '--preserve-digests', ...plain, `oci:${layout}:x`, `docker://${r.host}/some/where/else:2`)
  const inspected = JSON.parse(await skopeo('inspect', '--tls-verify=false', `docker://${r.host}/some/where/else:2`))
  assert.is(inspected.Digest, built.digest)
  assert.equal(inspected.RepoTags, ['2'])
  assert.equal(JSON.parse(await skopeo('list-tags', '--tls-verify=false', `docker://${r.host}/built`)).Tags, ['1'])
  const again = join(directory.path, 'again')
  await skopeo('copy', '--preserve-digests', ...plain, `docker://${r.host}/some/where/else@${built.digest}`, `oci:${again}:x`)
  assert.equal(await blobsOf(again), await blobsOf(layout))
})

test('skopeo deletes an image, and then there is none', async () => {
  if (!has('skopeo')) return skip('skopeo is not installed')
  const built = await image('scratch').copy({ file: 'to be deleted' }, '/').build({ tag: 'deleted:1' })
  await using r = await registry()
  await skopeo('delete', '--tls-verify=false', `docker://${r.host}/deleted:1`)
  const { code, stderr } = await attempt('skopeo', ['inspect', '--tls-verify=false', `docker://${r.host}/deleted@${built.digest}`])
  assert.is.not(code, 0)
  assert.match(stderr, /manifest unknown/)
})

const formats: readonly (readonly string[])[] = [
  ['--format', 'oci'],
  ['--format', 'v2s2'],
  ['--format', 'oci', '--dest-compress-format', 'zstd', '--dest-compress'],
]
for (const format of formats) {
  test(`skopeo copies from a directory by ${format.join(' ')}, and back the same`, async () => {
    if (!has('skopeo')) return skip('skopeo is not installed')
    using directory = temporaryDirectory()
    await image('scratch')
      .copy({ file: randomBytes(100_000) }, '/')
      .build({ tag: 'format:1' })
    await using r = await registry()
    const dir = join(directory.path, 'dir')
    mkdirSync(dir)
    await skopeo('copy', ...plain, ...format, `docker://${r.host}/format:1`, `dir:${dir}`)
    await skopeo('copy', '--preserve-digests', ...plain, `dir:${dir}`, `docker://${r.host}/format/pushed:2`)
    const raw = await skopeo('inspect', '--raw', '--tls-verify=false', `docker://${r.host}/format/pushed:2`)
    assert.is(digestOf(raw), digestOf(readFileSync(join(dir, 'manifest.json'))))
  })
}

test('skopeo copies an index with all its images, and finds its own platform in it', async () => {
  if (!has('skopeo')) return skip('skopeo is not installed')
  using directory = temporaryDirectory()
  const layout = join(directory.path, 'layout')
  writeLayout(layout)
  await using r = await registry()
  await skopeo('copy', '--all', '--preserve-digests', ...plain, `oci:${layout}:multi`, `docker://${r.host}/multi:1`)
  const index = await skopeo('inspect', '--raw', '--tls-verify=false', `docker://${r.host}/multi:1`)
  assert.is(digestOf(index), digestIn(layout))
  for (const architecture of ['amd64', 'arm64']) {
    const config = await skopeo(
      '--override-arch',
      architecture,
      '--override-os',
      'linux',
      'inspect',
      '--config',
      '--tls-verify=false',
      `docker://${r.host}/multi:1`,
    )
    assert.is(JSON.parse(config).architecture, architecture)
  }
  const back = join(directory.path, 'back')
  await skopeo('copy', '--all', '--preserve-digests', ...plain, `docker://${r.host}/multi:1`, `oci:${back}:multi`)
  assert.equal(await blobsOf(back), await blobsOf(layout))
})

/** A layout with an index of two platforms. */
function writeLayout(directory: string): void {
  mkdirSync(join(directory, 'blobs', 'sha256'), { recursive: true })
  const put = (content: string | Buffer, mediaType: string): { mediaType: string; digest: string; size: number } => {
    const digest = digestOf(content)
    writeFileSync(join(directory, 'blobs', 'sha256', digest.slice(7)), content)
    return { mediaType, digest, size: Buffer.byteLength(content) }
  }
  const image = 'application/vnd.oci.image'
  const manifests = ['amd64', 'arm64'].map((architecture) => {
    const tar = Buffer.alloc(10_240)
    const layer = put(tar, `${image}.layer.v1.tar`)
    const config = { architecture, os: 'linux', rootfs: { type: 'layers', diff_ids: [digestOf(tar)] } }
    const manifest = {
      schemaVersion: 2,
      mediaType: `${image}.manifest.v1+json`,
      config: put(JSON.stringify(config), `${image}.config.v1+json`),
      layers: [layer],
    }
    return { ...put(JSON.stringify(manifest), `${image}.manifest.v1+json`), platform: { os: 'linux', architecture } }
  })
  const index = put(JSON.stringify({ schemaVersion: 2, mediaType: `${image}.index.v1+json`, manifests }), `${image}.index.v1+json`)
  const named = { ...index, annotations: { 'org.opencontainers.image.ref.name': 'multi' } }
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  writeFileSync(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [named] }))
}

test('skopeo speaks to it over TLS with a client certificate and a password, and not without either', async () => {
  if (!has('skopeo')) return skip('skopeo is not installed')
  using directory = temporaryDirectory()
  const { ca, cert, key, clientCert, clientKey } = certificates(directory.path)
  const certs = join(directory.path, 'certs')
  const caOnly = join(directory.path, 'ca-only')
  for (const each of [certs, caOnly]) {
    mkdirSync(each)
    writeFileSync(join(each, 'ca.crt'), ca)
  }
  writeFileSync(join(certs, 'client.cert'), clientCert)
  writeFileSync(join(certs, 'client.key'), clientKey)
  await image('scratch').copy({ file: 'x' }, '/').build({ tag: 'secure:1' })
  await using r = await registry({ tls: { cert, key, ca }, auth: { me: 'secret' } })
  const inspect = (...args: string[]) => attempt('skopeo', ['inspect', ...args, `docker://${r.host}/secure:1`])
  const right = await inspect('--cert-dir', certs, '--creds', 'me:secret')
  assert.is(right.code, 0, right.stderr)
  assert.match((await inspect('--cert-dir', certs, '--creds', 'me:wrong')).stderr, /unauthorized|authentication|password/i)
  assert.is.not((await inspect('--cert-dir', certs, '--no-creds')).code, 0)
  assert.match((await inspect('--cert-dir', caOnly, '--creds', 'me:secret')).stderr, /certificate required|bad certificate|handshake/)
})

test('the store of the tests is the one that was served', () => {
  assert.ok(readFileSync(join(store.root, 'content', 'index.json'), 'utf8').includes('built:1'))
})

test.run()
