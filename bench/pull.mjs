// `node bench/pull.mjs [rounds]`, by root: pull and unpack of Debian from Debian's registry on loopback, beside podman's, alternated, in new stores. It
// needs docker-registry, skopeo, podman, zstd; dist must be up to date (`npm run dist`).
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { debianTar } from '../scripts/debian.mjs'
import { table } from './print.mjs'
import { median } from './statistics.mjs'

const rounds = Number(process.argv[2] ?? 5)
const place = mkdtempSync(join(tmpdir(), 'strake-bench-pull-'))
const pulled = fileURLToPath(new URL('pulled.mjs', import.meta.url))
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

async function freePort() {
  const probe = createServer()
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** An OCI layout of one layer. */
function layout(directory, tar, packed, compression) {
  const oci = 'application/vnd.oci.image'
  mkdirSync(join(directory, 'blobs/sha256'), { recursive: true })
  const blob = (bytes) => {
    writeFileSync(join(directory, 'blobs/sha256', sha256(bytes)), bytes)
    return { digest: `sha256:${sha256(bytes)}`, size: bytes.length }
  }
  const layer = { mediaType: `${oci}.layer.v1.tar+${compression}`, ...blob(packed) }
  const rootfs = { type: 'layers', diff_ids: [`sha256:${sha256(tar)}`] }
  const config = { architecture: process.arch === 'x64' ? 'amd64' : 'arm64', os: 'linux', rootfs, author: compression }
  const json = (value) => Buffer.from(JSON.stringify(value))
  const manifest = {
    schemaVersion: 2,
    mediaType: `${oci}.manifest.v1+json`,
    config: { mediaType: `${oci}.config.v1+json`, ...blob(json(config)) },
    layers: [layer],
  }
  const named = { 'org.opencontainers.image.ref.name': 'latest' }
  const manifests = [{ mediaType: manifest.mediaType, ...blob(json(manifest)), annotations: named }]
  writeFileSync(join(directory, 'index.json'), json({ schemaVersion: 2, manifests }))
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
}

function timed(work) {
  const started = performance.now()
  work()
  return performance.now() - started
}

const port = await freePort()
const registry = {
  version: '0.1',
  log: { level: 'error', accesslog: { disabled: true } },
  storage: { filesystem: { rootdirectory: join(place, 'data') } },
  http: { addr: `127.0.0.1:${port}`, secret: 'not one' },
}
writeFileSync(join(place, 'config.yml'), JSON.stringify(registry))
const server = spawn('docker-registry', ['serve', join(place, 'config.yml')], { stdio: 'ignore' })
try {
  await sleep(1000)
  const tar = readFileSync(debianTar())
  const rows = []
  for (const [compression, command] of [
    ['gzip', ['gzip', '-6', '-c']],
    ['zstd', ['zstd', '-3', '-q', '-c']],
  ]) {
    const packed = execFileSync(command[0], command.slice(1), { input: tar, maxBuffer: 2 ** 30 })
    layout(join(place, compression), tar, packed, compression)
    const reference = `127.0.0.1:${port}/${compression}:latest`
    execFileSync('skopeo', ['copy', '-q', '--dest-tls-verify=false', `oci:${join(place, compression)}:latest`, `docker://${reference}`])
    const ours = []
    const theirs = []
    for (let round = 0; round < rounds; round += 1) {
      const env = { ...process.env, STRAKE_ROOT: join(place, `strake-${compression}-${round}`) }
      ours.push(JSON.parse(execFileSync(process.execPath, [pulled, reference], { env, encoding: 'utf8' })))
      const root = join(place, `podman-${compression}-${round}`)
      const podman = ['--root', join(root, 'root'), '--runroot', join(root, 'run'), 'pull', '-q', '--tls-verify=false', reference]
      theirs.push(timed(() => execFileSync('unshare', ['-m', 'podman', ...podman], { stdio: 'ignore' })))
    }
    const ratio = median(ours.map(({ milliseconds }, round) => milliseconds / theirs[round]))
    const rss = Math.max(...ours.map((each) => each.rss)) / 1e6
    rows.push([
      compression,
      median(ours.map(({ milliseconds }) => milliseconds)).toFixed(0),
      median(theirs).toFixed(0),
      ratio.toFixed(2),
      rss.toFixed(0),
    ])
  }
  console.log(table(['pull + unpack, Debian', 'strake ms', 'podman ms', 'ratio', 'RSS MB'], rows))
  console.log(`Load ${loadavg()[0].toFixed(1)}`)
} finally {
  server.kill('SIGKILL')
  rmSync(place, { recursive: true, force: true, maxRetries: 3 })
}
