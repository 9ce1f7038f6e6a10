// test: timeout 900
// Real images on their way through Debian's docker-registry: of this library to podman and dockerd, which run them, and back.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import * as zlib from 'node:zlib'
import * as assert from 'uvu/assert'
import { type Image, image, images, store } from '../../lib/index.ts'
import { debianTar } from '../../scripts/debian.mjs'
import { type Distribution, distribution } from '../registry/client/distribution.ts'
import { run } from '../registry/server/command.ts'
import { startDockerd } from '../support/dockerd.ts'
import { has, idKind } from '../support/machine.ts'
import { plainRun, podman } from '../support/podman.ts'
import { skip, testAs } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

interface Place {
  readonly registry: Distribution
  readonly built: Image
}

const test = suite<{ place: Place | undefined }>('registry', { place: undefined })
const directory = temporaryDirectory('real')
const roots = { own: join(directory.path, 'own'), other: join(directory.path, 'other') }

/** A file that a layer below has, under one more name: the layer above has to bring all of it. */
const links = 'ln /usr/bin/perl /srv/perl && ln /etc/debian_version /srv/version'
const many = 'mkdir /srv/many && cd /srv/many && seq 12000 | xargs -n 500 touch && mkdir d && seq -f d/%g 500 | xargs touch'

test.before(async (context) => {
  for (const program of ['docker-registry', 'skopeo']) {
    if (has(program)) continue
    skip(`${program} is not installed`)
    return
  }
  process.env.STRAKE_ROOT = roots.own
  const built = await image()
    .from(debianTar())
    .env({ DEBIAN_FRONTEND: 'noninteractive' })
    .run('apt-get update && apt-get install -y --no-install-recommends iputils-ping libcap2-bin')
    .run(`${links} && ${many}`)
    .run(idKind === 'single' ? 'true' : 'setcap cap_net_raw=ep /usr/bin/ping && chown 33:33 /srv/many/1')
    .cmd(['cat', '/etc/debian_version'])
    .build({ tag: 'real:1' })
  context.place = { registry: await distribution(), built }
})

test.after(async ({ place }) => {
  await place?.registry[Symbol.asyncDispose]()
  for (const root of Object.values(roots)) {
    process.env.STRAKE_ROOT = root
    await store.remove()
  }
  directory[Symbol.dispose]()
})

/** What is looked at in the image, by whoever runs it: one line for each thing. */
const look = [
  'ls /srv/many | wc -l',
  'ls /srv/many/d | wc -l',
  'test /srv/perl -ef /usr/bin/perl && echo linked || echo apart',
  'cmp /srv/perl /usr/bin/perl && cmp /srv/version /etc/debian_version && echo same',
  'getcap /usr/bin/ping',
  'stat -c %u:%g /srv/many/1',
  'stat -c %a /usr/bin/passwd',
].join('; ')
// With a single id, too: the package's own script gives it to the file.
const owner = idKind === 'single' ? '0:0' : '33:33'
const seen = ['12001', '500', 'linked', 'same', '/usr/bin/ping cap_net_raw=ep', owner, '4755']

function linesOf(text: string): string[] {
  return text.trim().split('\n')
}

test('an image of 20,000 files, with links into a layer below and capabilities of a file, is pushed, pulled and runs', async ({
  place,
}) => {
  if (!place) return
  process.env.STRAKE_ROOT = roots.own
  assert.equal(linesOf((await place.built.exec(look)).stdout), seen)
  const name = `${place.registry.host}/real/gzip:1`
  const pushed = await place.built.push(name)
  assert.is((await place.built.push(name)).uploaded, 0)
  process.env.STRAKE_ROOT = roots.other
  const pulled = await images.pull(name)
  assert.equal([pulled.digest, pulled.id], [pushed.digest, place.built.id])
  assert.equal(linesOf((await pulled.exec(look)).stdout), seen)
  // Capabilities of a file give nobody anything here (no_new_privs), and the container's root needs none of them.
  assert.is((await pulled.exec('ping -c 1 -W 5 127.0.0.1 > /dev/null && echo ping')).stdout, 'ping\n')
  assert.equal((await store.verify()).problems, [])
})

test('its layers as zstd: pushed so where Node has it, else by skopeo; pulled, they run', async ({ place }) => {
  if (!place) return
  const name = `${place.registry.host}/real/zstd:1`
  process.env.STRAKE_ROOT = roots.own
  if ('createZstdCompress' in zlib) await place.built.push(name, { compression: 'zstd' })
  else {
    const options = ['--dest-tls-verify=false', '--dest-compress', '--dest-compress-format', 'zstd']
    await run('skopeo', ['copy', ...options, `oci:${roots.own}/content:real:1`, `docker://${name}`])
  }
  process.env.STRAKE_ROOT = roots.other
  const pulled = await images.pull(name)
  assert.ok(pulled.layers.every(({ mediaType }) => mediaType.endsWith('+zstd')))
  await store.prune({ cache: true })
  assert.equal(linesOf((await pulled.exec(look)).stdout), seen)
})

// With a single id podman has nobody to give the files of a layer to.
// An ordinary user's crun cannot be shown less of the cgroups than there is.
testAs(test, ['root'], 'podman runs what was pushed; what it made of it comes back, and runs', async () => {
  if (!has('podman')) return skip('podman is not installed')
  const { place } = context
  if (!place) return
  using storage = temporaryDirectory('p', '/tmp')
  const { host } = place.registry
  await podman(storage.path, 'vfs', 'pull', '--quiet', '--tls-verify=false', `${host}/real/gzip:1`)
  assert.equal(linesOf(await podman(storage.path, 'vfs', ...plainRun, `${host}/real/gzip:1`, 'sh', '-c', look)), seen)
  await podman(
    storage.path,
    'vfs',
    ...plainRun.filter((word) => word !== '--rm'),
    '--name',
    'made',
    `${host}/real/gzip:1`,
    'sh',
    '-c',
    'rm -r /srv/many/d; echo podman > /srv/by',
  )
  await podman(storage.path, 'vfs', 'commit', '--quiet', 'made', `${host}/real/podman:2`)
  await podman(storage.path, 'vfs', 'push', '--quiet', '--tls-verify=false', `${host}/real/podman:2`)
  process.env.STRAKE_ROOT = roots.other
  const pulled = await images.pull(`${host}/real/podman:2`)
  assert.is(
    (await pulled.exec('cat /srv/by; ls -d /srv/many/d 2>&1 | wc -l; getcap /usr/bin/ping')).stdout,
    'podman\n1\n/usr/bin/ping cap_net_raw=ep\n',
  )
  await pulled.tag(`${host}/real/back:3`)
  assert.is((await pulled.push(`${host}/real/back:3`)).digest, pulled.digest)
  await podman(storage.path, 'vfs', 'rmi', '--all', '--force')
  await podman(storage.path, 'vfs', 'pull', '--quiet', '--tls-verify=false', `${host}/real/back:3`)
  assert.is(await podman(storage.path, 'vfs', ...plainRun, `${host}/real/back:3`, 'cat', '/srv/by'), 'podman')
})

testAs(test, ['root'], 'dockerd runs what was pushed, plain and as zstd; what it made of it comes back, and runs', async () => {
  if (!has('dockerd') || !has('docker')) return skip('docker is not installed')
  const { place } = context
  if (!place) return
  using storage = temporaryDirectory('d')
  const { host } = place.registry
  await using daemon = await startDockerd(storage.path)
  for (const name of ['gzip', 'zstd']) {
    await daemon.docker('pull', '--quiet', `${host}/real/${name}:1`)
    assert.equal(linesOf(await daemon.docker('run', '--rm', '--network', 'none', `${host}/real/${name}:1`, 'sh', '-c', look)), seen)
  }
  await daemon.docker(
    'run',
    '--name',
    'made',
    '--network',
    'none',
    `${host}/real/gzip:1`,
    'sh',
    '-c',
    'rm -r /srv/many; echo docker > /srv/by',
  )
  await daemon.docker('commit', 'made', `${host}/real/docker:2`)
  await daemon.docker('push', '--quiet', `${host}/real/docker:2`)
  process.env.STRAKE_ROOT = roots.other
  const pulled = await images.pull(`${host}/real/docker:2`)
  assert.is((await pulled.exec('cat /srv/by; ls /srv')).stdout, 'docker\nby\nperl\nversion\n')
})

const context: { place: Place | undefined } = { place: undefined }
test.before.each((given) => {
  context.place = given.place
})

test('two processes that pull the same at once: both have it, and each blob has come once', async ({ place }) => {
  if (!place) return
  const { registry } = place
  const name = `${registry.host}/real/gzip:1`
  process.env.STRAKE_ROOT = join(directory.path, 'both')
  const script = `
    const { images } = await import(${JSON.stringify(new URL('../../lib/index.ts', import.meta.url).href)})
    const pulled = await images.pull(${JSON.stringify(name)})
    console.log((await pulled.exec(${JSON.stringify(look)})).stdout)`
  const before = registry.log().length
  const children = [0, 1].map(() =>
    spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  const said = await Promise.all(
    children.map(async (child) => {
      let text = ''
      child.stdout.on('data', (piece: Buffer) => {
        text += piece.toString()
      })
      const [code] = await once(child, 'close')
      return { code, lines: linesOf(text) }
    }),
  )
  assert.equal(said, [
    { code: 0, lines: seen },
    { code: 0, lines: seen },
  ])
  const blobs =
    registry
      .log()
      .slice(before)
      .match(/GET [^ ]*\/blobs\/[^ ]*/g) ?? []
  process.stdout.write(`# ${blobs.length} downloads of ${place.built.layers.length + 1} blobs by two\n`)
  assert.equal((await store.verify()).problems, [])
  await store.remove()
})

test.run()
