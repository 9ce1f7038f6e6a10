// `node bench/registry.mjs [--rounds=3] [--json=FILE]`: pushes and repeated pulls of Debian's minbase (170 MB) beside podman's, through one docker-registry
// on loopback, both stores on tmpfs, alternating. What a push finds in the registry is made fresh for each; times are those of the call itself, podman's
// those of its process.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { debianTar } from '../scripts/debian.mjs'
import { script, setUp } from '../scripts/setup.mjs'
import { podman, startRegistry, timed } from './engines.mjs'
import { summary } from './statistics.mjs'

/** Forgets what a push has learnt of how layers compress, so that the next one has it to do. */
function forget(root) {
  for (const kind of ['compressed', 'seen']) rmSync(join(root, 'cache', kind), { recursive: true, force: true })
}

async function measure(place, rounds) {
  const root = join(place, 'store')
  process.env.STRAKE_ROOT = root
  const { image, images } = await import('../dist/index.js')
  const tar = debianTar()
  const built = await image(tar).build({ tag: 'debian:bench' })
  podman(place, 'import', '--quiet', tar, 'bench/debian:1')
  const times = { push: { strake: [], podman: [] }, again: { strake: [], podman: [] }, pull: { strake: [], podman: [] } }
  for (let round = 0; round < rounds; round += 1) {
    forget(root)
    const registry = await startRegistry(join(place, 'registry'))
    try {
      const name = `${registry.host}/bench/strake:1`
      const other = `${registry.host}/bench/podman:1`
      const push = ['push', '--quiet', '--tls-verify=false', 'bench/debian:1', other]
      times.push.strake.push(await timed(() => built.push(name)))
      times.push.podman.push(podman(place, ...push))
      await images.pull(name)
      podman(place, 'pull', '--quiet', '--tls-verify=false', other)
      for (let each = 0; each < 10; each += 1) {
        times.again.strake.push(await timed(() => built.push(name)))
        times.pull.strake.push(await timed(() => images.pull(name)))
      }
      times.again.podman.push(podman(place, ...push))
      times.pull.podman.push(podman(place, 'pull', '--quiet', '--tls-verify=false', other))
      await images.remove(name)
      podman(place, 'rmi', other)
    } finally {
      await registry.stop()
      rmSync(join(place, 'registry'), { recursive: true, force: true })
    }
  }
  return times
}

await script(async () => {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, json: { type: 'string' } } })
  setUp({ only: ['dependencies', 'native part', 'bundle'] })
  const place = mkdtempSync('/dev/shm/sb-')
  try {
    const times = await measure(place, Number(values.rounds))
    const rows = Object.fromEntries(
      Object.entries(times).map(([what, { strake, podman: theirs }]) => [what, { strake: summary(strake), podman: summary(theirs) }]),
    )
    const ratio = rows.push.strake.median / rows.push.podman.median
    const ms = (value) => `${value.toFixed(1)} ms`
    console.log(
      `push of 170 MB             ${ms(rows.push.strake.median)}, podman ${ms(rows.push.podman.median)}: ${ratio.toFixed(2)} × (≤ 0.5)`,
    )
    console.log(`push of what is there      ${ms(rows.again.strake.median)} (≤ 50), podman ${ms(rows.again.podman.median)}`)
    console.log(`pull of what is there      ${ms(rows.pull.strake.median)} (≤ 30), podman ${ms(rows.pull.podman.median)}`)
    console.log(
      `load of this machine ${loadavg()[0].toFixed(1)}, Node ${process.version}, peak RSS ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`,
    )
    if (values.json)
      writeFileSync(
        values.json,
        `${JSON.stringify({ at: new Date().toISOString(), node: process.version, load: loadavg(), rows }, undefined, 2)}\n`,
      )
    return 0
  } finally {
    const { store } = await import('../dist/index.js')
    await store.remove().catch(() => {})
    podman(place, 'system', 'reset', '--force')
    rmSync(place, { recursive: true, force: true })
  }
})
