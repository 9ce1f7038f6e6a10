// test: timeout 180
// What is built on an image in Docker's format, or kept of a container of one, is an OCI image as a whole: readers take no mixture.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { indexMediaType } from '../../lib/images/index.ts'
import { type Image, image, images, store } from '../../lib/index.ts'
import { digestOf } from '../../lib/store/index.ts'
import { layoutFiles, makeImage, writeFiles } from '../images/maker.ts'
import { dir, tar } from '../layers/tar-maker.ts'
import { has, isRoot } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const directory = temporaryDirectory('docker-format')
process.env.STRAKE_ROOT = join(directory.path, 'store')
const test = suite("images in Docker's format")

test.after(async () => {
  await store.remove()
  directory[Symbol.dispose]()
})

async function loadBase(): Promise<Image> {
  const busybox = readFileSync(execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim())
  const layer = tar(dir('bin'), { name: 'bin/sh', mode: 0o755, data: busybox })
  const made = makeImage([layer], { docker: true, gzip: true, tag: 'docker.io/library/base:1', config: { config: {} } })
  const [base] = await images.load(writeFiles(join(directory.path, 'base'), layoutFiles([made])))
  if (base === undefined) throw new Error('nothing was loaded')
  return base
}

const gzip = 'application/vnd.oci.image.layer.v1.tar+gzip'
const plain = 'application/vnd.oci.image.layer.v1.tar'
const typesOf = ({ layers }: Image): string[] => layers.map(({ mediaType }) => mediaType)

test('a build on one, and a snapshot of its container, name all layers as OCI does; other programs read them', async () => {
  if (!has('busybox')) return skip('busybox is not installed')
  const base = await loadBase()
  assert.equal(typesOf(base), ['application/vnd.docker.image.rootfs.diff.tar.gzip'])
  const built = await image('base:1').run('echo hi > /hi').copy({ more: 'more' }, '/').build({ tag: 'built:1' })
  assert.equal(typesOf(built), [gzip, plain, plain])
  await using container = await base.start({ cmd: ['sh', '-c', 'echo hi > /hi'] })
  await container.wait()
  const kept = await container.snapshot({ tag: 'kept:1' })
  assert.equal(typesOf(kept), [gzip, plain])
  assert.equal(
    [base, built, kept].map(({ layers }) => layers[0]?.digest),
    Array(3).fill(base.layers[0]?.digest),
  )
  for (const name of ['built:1', 'kept:1']) {
    const source = `${store.root}/content:${name}`
    const bundle = join(directory.path, name.replace(':', '-'))
    if (has('umoci')) {
      execFileSync('umoci', ['unpack', ...(isRoot ? [] : ['--rootless']), '--image', source, bundle], { stdio: 'pipe' })
      assert.is(readFileSync(join(bundle, 'rootfs/hi'), 'utf8'), 'hi\n')
    }
    if (has('skopeo')) {
      execFileSync('skopeo', ['copy', '--quiet', `oci:${source}`, `docker-archive:${bundle}.tar:${name}`], { stdio: 'pipe' })
      execFileSync('skopeo', ['copy', '--quiet', '--format', 'v2s2', `oci:${source}`, `dir:${bundle}-v2s2`], { stdio: 'pipe' })
    }
  }
})

const contentIndex = (): { manifests: { mediaType: string; digest: string; annotations?: Record<string, string> }[] } =>
  JSON.parse(readFileSync(join(store.root, 'content/index.json'), 'utf8'))
const shownOf = (name: string) =>
  contentIndex().manifests.find(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === name)

test('one as it came is itself in the store, and an OCI image for those who read content/ as a layout', async () => {
  if (!has('busybox')) return skip('busybox is not installed')
  const base = await loadBase()
  await base.tag('second:1')
  assert.is((await images.get('second:1')).digest, base.digest)
  assert.equal((await images.get(base.digest)).tags, ['base:1', 'second:1'])
  for (const name of ['base:1', 'second:1']) {
    const shown = shownOf(name)
    assert.is(shown?.mediaType, 'application/vnd.oci.image.manifest.v1+json')
    const manifest = JSON.parse(readFileSync(join(store.root, 'content/blobs/sha256', shown?.digest.slice(7) ?? ''), 'utf8'))
    assert.is(manifest.config.mediaType, 'application/vnd.oci.image.config.v1+json')
    assert.equal([manifest.config.digest, manifest.layers[0].digest], [base.id, base.layers[0]?.digest])
    const source = `${store.root}/content:${name}`
    const bundle = join(directory.path, `as-it-came-${name.replace(':', '-')}`)
    if (has('umoci')) {
      execFileSync('umoci', ['unpack', ...(isRoot ? [] : ['--rootless']), '--image', source, bundle], { stdio: 'pipe' })
      assert.ok(existsSync(join(bundle, 'rootfs/bin/sh')))
    }
    if (has('skopeo')) {
      const found = JSON.parse(execFileSync('skopeo', ['inspect', `oci:${source}`], { encoding: 'utf8', stdio: 'pipe' }))
      assert.equal(found.Layers, [base.layers[0]?.digest])
    }
  }
})

test('what others see of one is kept by prune, missed and mended by verify, and goes with the image', async () => {
  if (!has('busybox')) return skip('busybox is not installed')
  const base = await loadBase()
  const shown = shownOf('base:1')
  const path = join(store.root, 'content/blobs/sha256', shown?.digest.slice(7) ?? '')
  await store.prune()
  assert.ok(existsSync(path))
  assert.ok((await store.verify()).ok)
  for (const [what, damage] of Object.entries({ missing: () => rmSync(path), digest: () => writeFileSync(path, 'other') })) {
    damage()
    const { problems } = await store.verify({ mend: true })
    assert.equal(
      problems.map((each) => [each.what, each.digest, each.usedBy.images, each.mended]),
      [[what, shown?.digest, [base.digest], true]],
    )
    assert.ok((await store.verify()).ok)
    assert.is((await images.get('base:1')).digest, base.digest)
    assert.equal(shownOf('base:1'), shown)
  }
  for (const name of ['built:1', 'kept:1']) await images.remove(name).catch(() => undefined)
  await images.remove(base.digest)
  assert.is(shownOf('base:1'), undefined)
  await store.prune({ images: 'all', cache: true })
  assert.not.ok(existsSync(path))
})

test('an index of such images, by either name, is one of OCI images to others', async () => {
  const [own, foreign] = (['amd64', 'arm64'] as const).map((architecture) =>
    makeImage([tar(dir(architecture))], { docker: true, platform: { os: 'linux', architecture } }),
  )
  if (own === undefined || foreign === undefined) throw new Error('two were to be made')
  const list = 'application/vnd.docker.distribution.manifest.list.v2+json'
  for (const mediaType of [list, 'application/vnd.oci.image.index.v1+json']) {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [own.descriptor, foreign.descriptor] }))
    const annotations = { 'org.opencontainers.image.ref.name': 'docker.io/library/both:1' }
    const index = {
      blobs: new Map([...own.blobs, ...foreign.blobs, [digestOf(bytes), bytes]]),
      descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length, annotations },
    }
    const layout = writeFiles(join(directory.path, `list-${bytes.length}`), layoutFiles([index]))
    await images.load(layout)
    const refs = join(store.root, 'content/blobs/sha256')
    const shown = shownOf('both:1')
    assert.is(shown?.mediaType, 'application/vnd.oci.image.index.v1+json')
    const { manifests } = JSON.parse(readFileSync(join(refs, shown?.digest.slice(7) ?? ''), 'utf8'))
    assert.equal(
      manifests.map((each: { mediaType: string; platform: { architecture: string } }) => [each.mediaType, each.platform.architecture]),
      [
        ['application/vnd.oci.image.manifest.v1+json', 'amd64'],
        ['application/vnd.oci.image.manifest.v1+json', 'arm64'],
      ],
    )
  }
})

test('a manifest that nests deeper than can be written, and an index that lists the same many times, in each other, are taken as they are', async () => {
  const one = makeImage([tar(dir('deep'))], { docker: true, tag: 'docker.io/library/deep:1', config: { config: {} } })
  const bytes = one.blobs.get(one.descriptor.digest)
  const nested = Buffer.from(`{"x":${'['.repeat(50_000)}${']'.repeat(50_000)},${bytes?.toString().slice(1)}`)
  const { annotations, mediaType } = one.descriptor
  const deep = {
    blobs: new Map([...one.blobs, [digestOf(nested), nested]]),
    descriptor: { mediaType, digest: digestOf(nested), size: nested.length, ...(annotations ? { annotations } : {}) },
  }
  await images.load(writeFiles(join(directory.path, 'deep'), layoutFiles([deep])))
  assert.is(shownOf('deep:1')?.digest, digestOf(nested))
  let inner: { mediaType: string; digest: string; size: number } = one.descriptor
  const blobs = new Map(one.blobs)
  for (let level = 0; level < 2; level += 1) {
    const text = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: indexMediaType, manifests: Array(50).fill({ ...inner, annotations: undefined }) }),
    )
    blobs.set(digestOf(text), text)
    inner = { mediaType: indexMediaType, digest: digestOf(text), size: text.length }
  }
  const named = { ...inner, annotations: { 'org.opencontainers.image.ref.name': 'docker.io/library/wide:1' } }
  await images.load(writeFiles(join(directory.path, 'wide'), layoutFiles([{ blobs, descriptor: named }])))
  assert.is(shownOf('wide:1')?.mediaType, indexMediaType)
})

test.run()
