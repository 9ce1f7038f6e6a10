// `node bench/pull.mjs [--rounds=3] [--images=debian,debian-zstd,large]`: pull and unpack from Debian's registry on loopback, beside docker's (as root; its
// version here knows no zstd) and podman's, alternating, each into a new store; as root each engine has a disk of its own (disks.mjs). Ours in a process of
// its own, of which the call is timed; theirs by their commands. `large` is Debian and a second layer of 366 MB.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { debianTar } from '../scripts/debian.mjs'
import { script, setUp } from '../scripts/setup.mjs'
import { ownDisks } from './disks.mjs'
import { podman, startDocker, startRegistry } from './engines.mjs'
import { largeTar } from './large-tree.mjs'
import { table } from './print.mjs'
import { median } from './statistics.mjs'

const isRoot = process.getuid?.() === 0
const pulled = fileURLToPath(new URL('pulled.mjs', import.meta.url))
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')
const compressors = { gzip: ['gzip', '-6', '-c'], zstd: ['zstd', '-3', '-q', '-c'] }

/** An OCI layout of an image with a layer for each tar. */
function writeLayout(directory, tars, compression) {
  const oci = 'application/vnd.oci.image'
  mkdirSync(join(directory, 'blobs/sha256'), { recursive: true })
  const blob = (bytes) => {
    writeFileSync(join(directory, 'blobs/sha256', sha256(bytes)), bytes)
    return { digest: `sha256:${sha256(bytes)}`, size: bytes.length }
  }
  const [command, ...args] = compressors[compression]
  const layers = tars.map((tar) => ({
    mediaType: `${oci}.layer.v1.tar+${compression}`,
    ...blob(execFileSync(command, args, { input: tar, maxBuffer: 2 ** 30 })),
  }))
  const rootfs = { type: 'layers', diff_ids: tars.map((tar) => `sha256:${sha256(tar)}`) }
  const config = { architecture: process.arch === 'x64' ? 'amd64' : 'arm64', os: 'linux', rootfs, author: compression }
  const json = (value) => Buffer.from(JSON.stringify(value))
  const type = `${oci}.manifest.v1+json`
  const manifest = { schemaVersion: 2, mediaType: type, config: { mediaType: `${oci}.config.v1+json`, ...blob(json(config)) }, layers }
  const named = { 'org.opencontainers.image.ref.name': 'latest' }
  writeFileSync(
    join(directory, 'index.json'),
    json({ schemaVersion: 2, manifests: [{ mediaType: type, ...blob(json(manifest)), annotations: named }] }),
  )
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
}

/** The images, in the registry; `make` gives the tars of the layers. */
const images = {
  debian: { compression: 'gzip', make: () => [readFileSync(debianTar())] },
  'debian-zstd': { compression: 'zstd', make: () => [readFileSync(debianTar())] },
  large: {
    compression: 'gzip',
    make: (place) => {
      largeTar(join(place, 'large.tar'))
      return [readFileSync(debianTar()), readFileSync(join(place, 'large.tar'))]
    },
  },
}

function pullByStrake(disk, reference) {
  const env = { ...process.env, STRAKE_ROOT: disk }
  return JSON.parse(execFileSync(process.execPath, [pulled, reference], { env, encoding: 'utf8' }))
}

async function pullByDocker(disk, reference) {
  const { docker, stop } = await startDocker(disk)
  try {
    return docker('pull', '-q', reference)
  } finally {
    await stop()
  }
}

async function measure(disks, registry, name, rounds) {
  const { compression, make } = images[name]
  const place = join(disks.registry, name)
  mkdirSync(place)
  writeLayout(join(place, 'layout'), make(place), compression)
  const reference = `${registry.host}/${name}:latest`
  execFileSync('skopeo', ['copy', '-q', '--dest-tls-verify=false', `oci:${join(place, 'layout')}:latest`, `docker://${reference}`])
  const times = { strake: [], docker: [], podman: [] }
  let rss = 0
  for (let round = 0; round < rounds; round += 1) {
    const ours = pullByStrake(join(disks.strake, `${name}-${round}`), reference)
    times.strake.push(ours.milliseconds)
    rss = Math.max(rss, ours.rss)
    if (isRoot && compression !== 'zstd') times.docker.push(await pullByDocker(join(disks.docker, `${name}-${round}`), reference))
    const own = join(disks.podman, `${name}-${round}`)
    mkdirSync(own)
    times.podman.push(podman(own, 'pull', '-q', '--tls-verify=false', reference))
  }
  const ms = (who) => (times[who].length === 0 ? '–' : median(times[who]).toFixed(0))
  // Of the medians: two that ran side by side are not more alike here than others.
  const ratio = (who) => (times[who].length === 0 ? '–' : (median(times.strake) / median(times[who])).toFixed(2))
  return [name, ms('strake'), ms('docker'), ratio('docker'), ms('podman'), ratio('podman'), (rss / 1e6).toFixed(0)]
}

await script(async () => {
  const options = { rounds: { type: 'string', default: '3' }, images: { type: 'string', default: Object.keys(images).join(',') } }
  const { values } = parseArgs({ options })
  setUp({ only: ['dependencies', 'native part', 'bundle'] })
  const disks = ownDisks(['strake', 'docker', 'podman', 'registry'])
  const registry = await startRegistry(join(disks.registry, 'registry'))
  try {
    const rows = []
    for (const name of values.images.split(',')) rows.push(await measure(disks, registry, name, Number(values.rounds)))
    console.log(table(['pull + unpack', 'strake ms', 'docker ms', 'ratio', 'podman ms', 'ratio', 'RSS MB'], rows))
    console.log(`load of this machine ${loadavg()[0].toFixed(1)}, Node ${process.version}`)
    return 0
  } finally {
    await registry.stop()
  }
})
