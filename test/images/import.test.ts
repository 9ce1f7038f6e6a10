import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, linkSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { type ImageSource, Images, importImage, loadImages, parsePlatform } from '../../lib/images/index.ts'
import { walkTar } from '../../lib/layers/index.ts'
import { digestOf, hexOf, Store } from '../../lib/store/index.ts'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { test } from '../support/uvu.ts'
import { amd64, arm64, bench, layers, layoutFiles, makeImage, makeIndex, tarOf, writeFiles } from './maker.ts'

async function _codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'none',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  )
}

/** A `docker save` archive: of old, with layers in directories and links between them, or of now, with blobs. */
async function dockerArchive(kind: 'old' | 'new' | 'compressed'): Promise<Buffer> {
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['/x'] },
      rootfs: { type: 'layers', diff_ids: [...layers, layers[0] as Buffer].map((each) => digestOf(each)) },
    }),
  )
  const [one, two] = layers as [Buffer, Buffer]
  const name = `${hexOf(digestOf(config))}.json`
  const paths =
    kind === 'new' ? [`blobs/sha256/${hexOf(digestOf(one))}`, `blobs/sha256/${hexOf(digestOf(two))}`] : ['1/layer.tar', '2/layer.tar']
  const files = new Map<string, Buffer>([
    [name, config],
    ['1/json', Buffer.from('{}')],
    ['1/VERSION', Buffer.from('1.0')],
    ['repositories', Buffer.from('{}')],
    [paths[0] as string, kind === 'compressed' ? gzipSync(one) : one],
    [paths[1] as string, two],
    [
      'manifest.json',
      Buffer.from(
        JSON.stringify([
          { Config: name, RepoTags: ['app:1', 'docker.io/library/app:2'], Layers: [...paths, kind === 'new' ? paths[0] : '3/layer.tar'] },
        ]),
      ),
    ],
  ])
  return await tarOf(files, kind === 'new' ? [] : [{ path: '3/layer.tar', type: 'symlink', linkPath: '../1/layer.tar' }])
}

const sources: readonly [string, (path: string) => Promise<ImageSource>][] = [
  ['an OCI layout', async (path) => ({ kind: 'layout', path: writeFiles(join(path, 'l'), layoutFiles([amd64])) })],
  [
    'an OCI layout, by tag',
    async (path) => ({
      kind: 'layout',
      path: writeFiles(join(path, 'l'), layoutFiles([arm64, makeImage(layers, { tag: 'v1', platform: parsePlatform('linux/amd64') })])),
      tag: 'v1',
    }),
  ],
  [
    'an OCI layout, by a tag that stands after a name',
    async (path) => ({
      kind: 'layout',
      path: writeFiles(join(path, 'l'), layoutFiles([arm64, makeImage(layers, { tag: 'app:v1' })])),
      tag: 'v1',
    }),
  ],
  [
    'an OCI archive',
    async (path) => {
      writeFileSync(join(path, 'a.tar'), await tarOf(layoutFiles([amd64])))
      return { kind: 'archive', format: 'oci', path: join(path, 'a.tar') }
    },
  ],
  [
    'an OCI archive, gzipped, its index first',
    async (path) => {
      writeFileSync(join(path, 'a.tgz'), gzipSync(await tarOf(new Map([...layoutFiles([amd64])].reverse()))))
      return { kind: 'archive', format: 'oci', path: join(path, 'a.tgz') }
    },
  ],
  [
    'an index of several platforms',
    async (path) => ({ kind: 'layout', path: writeFiles(join(path, 'l'), layoutFiles([makeIndex([arm64, amd64])])) }),
  ],
  [
    'an index in an index',
    async (path) => ({ kind: 'layout', path: writeFiles(join(path, 'l'), layoutFiles([makeIndex([makeIndex([arm64, amd64])])])) }),
  ],
]
for (const [what, make] of sources) {
  test(`an image comes from ${what}`, async () => {
    await using place = await bench()
    const image = await importImage(place.store, await make(place.path), { platform: parsePlatform('linux/amd64') })
    assert.equal(
      image.layers.map(({ diffId }) => diffId),
      layers.map((each) => digestOf(each)),
    )
    assert.equal(image.config, { Env: ['A=b'], Cmd: ['/x'] })
    assert.equal(image.tags, [])
    for (const { digest, size } of image.layers) assert.is(await place.store.blobs.size(digest), size)
    assert.is((await new Images(place.store).get(image.digest)).id, image.id)
  })
}

for (const kind of ['old', 'new', 'compressed'] as const) {
  test(`an image comes from a docker save archive (${kind}), with its id and its names`, async () => {
    await using place = await bench()
    const path = join(place.path, 'd.tar')
    writeFileSync(path, await dockerArchive(kind))
    const image = await importImage(place.store, { kind: 'archive', format: 'docker', path, tag: 'app:1' })
    assert.equal(
      image.layers.map(({ diffId }) => diffId),
      [...layers, layers[0] as Buffer].map((each) => digestOf(each)),
    )
    const [loaded, ...more] = await loadImages(place.store, path)
    assert.equal(more, [])
    assert.equal(loaded?.tags, ['app:1', 'app:2'])
    assert.is(loaded?.id, image.id)
  })
}

test('loading keeps the names of a layout that are references, and leaves others', async () => {
  await using place = await bench()
  const path = writeFiles(
    join(place.path, 'l'),
    layoutFiles([makeImage(layers, { tag: 'docker.io/library/app:1' }), makeImage(layers, { tag: 'latest', config: { author: 'x' } })]),
  )
  assert.equal(
    (await loadImages(place.store, path)).map(({ tags }) => tags),
    [['app:1'], []],
  )
})

function tree(root: string): string {
  mkdirSync(join(root, 'bin'), { recursive: true })
  writeFileSync(join(root, 'bin/sh'), 'shell')
  chmodSync(join(root, 'bin/sh'), 0o755)
  linkSync(join(root, 'bin/sh'), join(root, 'bin/ash'))
  symlinkSync('bin', join(root, 'sbin'))
  return root
}

test('a root file system comes from a directory, the same one as the same image', async () => {
  await using place = await bench()
  const root = tree(join(place.path, 'root'))
  const socket = createServer().listen(join(root, 'socket'))
  await once(socket, 'listening')
  const image = await importImage(place.store, { kind: 'rootfs', path: root })
  const again = await importImage(place.store, { kind: 'rootfs', path: root })
  socket.close()
  assert.is(again.digest, image.digest)
  const lines: string[] = []
  for await (const entry of walkTar(await place.store.blobs.stream(image.layers[0]?.digest as never)))
    lines.push(`${entry.path.toString()} ${entry.type} ${entry.uid} ${entry.linkPath.toString()}`.trimEnd())
  assert.equal(lines, ['./ directory 0', 'bin/ directory 0', 'bin/ash file 0', 'bin/sh link 0 bin/ash', 'sbin symlink 0 bin'])
})

for (const [what, command] of [
  ['plain', []],
  ['gzip', ['gzip']],
  ['zstd', ['zstd', '-q', '--rm']],
  ['xz', ['xz']],
  ['bzip2', ['bzip2']],
] as const) {
  test(`a root file system comes from a tar, ${what}; its diffID is that of the tar`, async () => {
    if (command[0] !== undefined && !has(command[0])) return skip(`${command[0]} is not installed`)
    await using place = await bench()
    const path = join(place.path, 'r.tar')
    execFileSync('tar', ['-C', tree(join(place.path, 'root')), '-cf', path, '.'])
    const plain = readFileSync(path)
    if (command[0] !== undefined) execFileSync(command[0], [...command.slice(1), path])
    const name = readdirSync(place.path).find((each) => each.startsWith('r.tar')) as string
    const image = await importImage(place.store, { kind: 'rootfs', path: join(place.path, name) })
    assert.equal(
      image.layers.map(({ diffId, digest }) => [diffId, digest]),
      [[digestOf(plain), digestOf(plain)]],
    )
  })
}

test('skopeo and umoci read the store as it is, and we read what skopeo writes', async () => {
  if (!has('skopeo') || !has('umoci')) return skip('skopeo or umoci is not installed')
  await using place = await bench()
  const root = tree(join(place.path, 'root'))
  const image = await importImage(place.store, { kind: 'rootfs', path: root })
  await new Images(place.store).tag(image, 'app:2')
  const content = place.store.path('content')
  const inspected = JSON.parse(execFileSync('skopeo', ['inspect', `oci:${content}:app:2`], { encoding: 'utf8' })) as {
    Digest: string
    Layers: string[]
  }
  assert.is(inspected.Digest, image.digest)
  assert.equal(
    inspected.Layers,
    image.layers.map(({ digest }) => digest),
  )
  const bundle = join(place.path, 'bundle')
  execFileSync('umoci', ['unpack', '--rootless', '--image', `${content}:app:2`, bundle], { stdio: 'pipe' })
  assert.is(readFileSync(join(bundle, 'rootfs/sbin/ash'), 'utf8'), 'shell')
  for (const [target, source] of [
    [`oci-archive:${place.path}/o.tar:app:2`, { kind: 'archive', format: 'oci', path: join(place.path, 'o.tar') }],
    [`docker-archive:${place.path}/d.tar:app:2`, { kind: 'archive', format: 'docker', path: join(place.path, 'd.tar') }],
    [`oci:${place.path}/layout:v1`, { kind: 'layout', path: join(place.path, 'layout'), tag: 'v1' }],
  ] as const) {
    execFileSync('skopeo', ['copy', '-q', `oci:${content}:app:2`, target], { stdio: 'pipe' })
    const other = await Store.open(join(place.path, `store-${source.kind}-${target.length}`))
    const copy = await importImage(other, source)
    assert.equal(
      copy.layers.map(({ diffId }) => diffId),
      image.layers.map(({ diffId }) => diffId),
      target,
    )
  }
})

test('a store that moves keeps its images', async () => {
  await using place = await bench()
  const image = await importImage(place.store, { kind: 'rootfs', path: tree(join(place.path, 'root')) })
  renameSync(place.store.root, join(place.path, 'moved'))
  const moved = await Store.open(join(place.path, 'moved'))
  assert.is((await new Images(moved).get(image.digest)).id, image.id)
})

test.run()
