// `node bench/pack.mjs [--rounds=3] [--node=PATH]`: a tree of 366 MB becomes an image whose layer is compressed, beside `buildah commit` of the same tree (its copy
// into the container not counted), alternating; as root each has a disk of its own (disks.mjs). Ours is the whole of it: the layer is packed into
// the store and written compressed into an OCI archive. zstd needs Node 22.15 or later: `--node` names one.
import { execFileSync } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { script, setUp } from '../scripts/setup.mjs'
import { ownDisks } from './disks.mjs'
import { run } from './engines.mjs'
import { largeTar } from './large-tree.mjs'
import { table } from './print.mjs'
import { median } from './statistics.mjs'

const packed = fileURLToPath(new URL('packed.mjs', import.meta.url))

function hasZstd(node) {
  const text = execFileSync(node, ['-p', "typeof require('node:zlib').zstdCompress"], { encoding: 'utf8' })
  return text.trim() === 'function'
}

function makeTree(place) {
  const tree = join(place, 'tree')
  mkdirSync(tree)
  largeTar(join(place, 'tree.tar'))
  execFileSync('tar', ['-C', tree, '-xf', join(place, 'tree.tar')])
  return tree
}

function buildah(disk) {
  const env = { ...process.env, TMPDIR: disk, BUILDAH_ISOLATION: 'chroot' }
  const storage = ['--root', join(disk, 'root'), '--runroot', join(disk, 'run')]
  return (...args) => run('buildah', [...storage, ...args], { env })
}

function measure(disks, rounds, node) {
  const tree = makeTree(disks.tree)
  const theirs = buildah(disks.buildah)
  theirs('from', '--name', 'tree', 'scratch')
  theirs('copy', '--quiet', 'tree', tree, '/')
  const kinds = hasZstd(node) ? ['gzip', 'zstd'] : ['gzip']
  const times = { buildah: [], gzip: [], zstd: [] }
  const sizes = { gzip: 0, zstd: 0 }
  let rss = 0
  for (let round = 0; round < rounds; round += 1) {
    for (const kind of kinds) {
      const file = join(disks.strake, `${kind}-${round}.tar`)
      const env = { ...process.env, STRAKE_ROOT: join(disks.strake, `store-${kind}-${round}`) }
      const ours = JSON.parse(execFileSync(node, [packed, tree, file, kind], { env, encoding: 'utf8' }))
      times[kind].push(ours.milliseconds)
      sizes[kind] = statSync(file).size
      rss = Math.max(rss, ours.rss)
    }
    times.buildah.push(theirs('commit', '--quiet', '--disable-compression=false', 'tree', `oci:${join(disks.buildah, `oci-${round}`)}`))
  }
  return kinds.map((kind) => [
    kind,
    median(times[kind]).toFixed(0),
    (sizes[kind] / 1e6).toFixed(0),
    median(times.buildah).toFixed(0),
    (median(times[kind]) / median(times.buildah)).toFixed(2),
    (rss / 1e6).toFixed(0),
  ])
}

await script(async () => {
  const options = { rounds: { type: 'string', default: '3' }, node: { type: 'string', default: process.execPath } }
  const { values } = parseArgs({ options })
  setUp({ only: ['dependencies', 'native part', 'bundle'] })
  const disks = ownDisks(['strake', 'buildah', 'tree'])
  console.log(
    table(
      ['pack + compress 366 MB', 'strake ms', 'MB', 'buildah ms', 'ratio', 'RSS MB'],
      measure(disks, Number(values.rounds), values.node),
    ),
  )
  console.log(`load of this machine ${loadavg()[0].toFixed(1)}, Node ${execFileSync(values.node, ['-v'], { encoding: 'utf8' }).trim()}`)
  return 0
})
