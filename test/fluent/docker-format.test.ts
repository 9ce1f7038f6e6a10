// test: timeout 180
// What is built on an image in Docker's format, or kept of a container of one, is an OCI image as a whole: readers take no mixture.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type Image, image, images, store } from '../../lib/index.ts'
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

test.run()
