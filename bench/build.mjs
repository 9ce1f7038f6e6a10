// `node bench/build.mjs [--rounds=3] [--json=FILE]`: builds of one Dockerfile beside docker's (the classic builder of a dockerd of its own: Debian's client has no buildx; as root only) and podman's,
// alternating; as root each has a disk of its own (disks.mjs). Ours in this process, theirs by their commands; every cold build is of steps that nobody has
// seen.
import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { debianTar } from '../scripts/debian.mjs'
import { script, setUp } from '../scripts/setup.mjs'
import { ownDisks } from './disks.mjs'
import { podman, startDocker, timed } from './engines.mjs'
import { median, summary } from './statistics.mjs'

const isRoot = process.getuid?.() === 0
const name = 'localhost/bench/debian:1'

/** What an application's last steps are, where nothing runs after its files are there. */
function withoutRun(mark) {
  return [`FROM ${name}`, `RUN echo ${mark} > /one`, 'COPY . /app', 'ENV PLACE=/app', 'CMD ["true"]', ''].join('\n')
}

/** Six steps: three small RUNs, a COPY of the context, settings. */
function dockerfile(mark) {
  return [
    `FROM ${name}`,
    `RUN echo ${mark} > /one`,
    'RUN cat /one > /two',
    'COPY . /app',
    'RUN ls /app | wc -l > /count',
    'ENV PLACE=/app',
    'CMD ["true"]',
    '',
  ].join('\n')
}

function makeContext(place, count) {
  for (let at = 0; at < count; at += 1) {
    const directory = join(place, `d${at % 100}`)
    if (at < 100) mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, `f${at}`), `${at} ${'x'.repeat(at % 2000)}\n`)
  }
  return place
}

function builders(disks, image, docker) {
  const written = (who, text) => {
    const path = join(disks[who], 'Dockerfile')
    writeFileSync(path, text)
    return path
  }
  return {
    strake: async (text, context) => await timed(() => image().fromDockerfile({ text, context }).build()),
    ...(docker
      ? { docker: async (text, context) => docker('build', '-q', '--network', 'host', '-f', written('docker', text), context) }
      : {}),
    podman: async (text, context) =>
      podman(disks.podman, 'build', '-q', '--layers', '--network', 'host', '-f', written('podman', text), context),
  }
}

async function measure(disks, rounds) {
  process.env.STRAKE_ROOT = join(disks.strake, 'store')
  const { image } = await import('../dist/index.js')
  const tar = debianTar()
  await image(tar).build({ tag: name })
  podman(disks.podman, 'import', '--quiet', tar, name)
  const daemon = isRoot ? await startDocker(join(disks.docker, 'docker')) : undefined
  const context = makeContext(join(disks.contexts, 'context'), 1000)
  const large = makeContext(join(disks.contexts, 'large'), 20_000)
  try {
    daemon?.docker('import', tar, name)
    const all = builders(disks, image, daemon?.docker)
    const times = { cold: {}, cached: {}, changed: {}, changedAndRun: {} }
    const note = (kind, who, value) => {
      times[kind][who] ??= []
      times[kind][who].push(value)
    }
    // docker and podman have unpacked the base when they imported it; we do when it is first run.
    for (const build of Object.values(all)) await build(`FROM ${name}\nRUN true\n`, context)
    for (let round = 0; round < rounds; round += 1) {
      for (const [who, build] of Object.entries(all)) {
        const text = dockerfile(`${who}-${round}`)
        note('cold', who, await build(text, context))
        for (let again = 0; again < 3; again += 1) note('cached', who, await build(text, context))
      }
    }
    for (const [kind, text] of Object.entries({ changed: withoutRun('large'), changedAndRun: dockerfile('large') })) {
      for (const [who, build] of Object.entries(all)) {
        await build(text, large)
        for (let round = 0; round < rounds; round += 1) {
          writeFileSync(join(large, 'd7', 'f7'), `changed ${kind} ${who} ${round}\n`)
          note(kind, who, await build(text, large))
        }
      }
    }
    return { times, own: await ownFigures(image, rounds) }
  } finally {
    await daemon?.stop()
  }
}

/** What is not compared: four branches of a second's work each, and what a RUN costs beside its command. */
async function ownFigures(image, rounds) {
  const branches = []
  const each = []
  const base = image(name)
  const many = (mark, count) =>
    Array.from({ length: count }).reduce((app, _, at) => app.run(['true'], { env: { MARK: `${mark}-${at}` } }), base)
  for (let round = 0; round < rounds; round += 1) {
    const parts = Array.from({ length: 4 }, (_, at) => base.run(`sleep 1; echo ${round} > /part-${at}`))
    branches.push(await timed(() => parts.reduce((app, from, at) => app.copy(`/part-${at}`, '/', { from }), base).build()))
    const one = await timed(() => many(`one-${round}`, 1).build())
    const twenty = await timed(() => many(`many-${round}`, 21).build())
    each.push((twenty - one) / 20)
  }
  return { branches, each }
}

function print({ times, own }) {
  const ms = (value) => (value === undefined ? '–' : `${value.toFixed(0)} ms`)
  const targets = {
    cold: ['6 steps, COPY of 1,000 files, cold', '≤ 0.35 × docker, ≤ 0.25 × podman'],
    cached: ['the same, all cached', '≤ 50 ms, ≤ 0.2 × docker'],
    changed: ['one file changed of 20,000', '≤ 500 ms'],
    changedAndRun: ['the same with a RUN after it', 'none'],
  }
  for (const [kind, [what, target]] of Object.entries(targets)) {
    const of = (who) => (times[kind][who] ? median(times[kind][who]) : undefined)
    const [strake, docker, podman] = [of('strake'), of('docker'), of('podman')]
    const ratio = (other) => (other === undefined ? '–' : `${(strake / other).toFixed(2)} ×`)
    console.log(
      `${what.padEnd(36)} ${ms(strake)}; docker ${ms(docker)}: ${ratio(docker)}; podman ${ms(podman)}: ${ratio(podman)} (${target})`,
    )
  }
  console.log(`${'4 branches of 1 s each'.padEnd(36)} ${ms(median(own.branches))} (≤ 2400 ms)`)
  console.log(`${'a RUN of true, its layer included'.padEnd(36)} ${median(own.each).toFixed(1)} ms (≤ 15 ms)`)
  console.log(`load of this machine ${loadavg()[0].toFixed(1)}, Node ${process.version}`)
}

await script(async () => {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, json: { type: 'string' } } })
  setUp({ only: ['dependencies', 'native part', 'bundle'] })
  const disks = ownDisks(['strake', 'docker', 'podman', 'contexts'])
  try {
    const measured = await measure(disks, Number(values.rounds))
    print(measured)
    if (values.json) {
      const all = Object.entries(measured.times).map(([kind, by]) => [
        kind,
        Object.fromEntries(Object.entries(by).map(([who, list]) => [who, summary(list)])),
      ])
      const own = Object.fromEntries(Object.entries(measured.own).map(([what, list]) => [what, summary(list)]))
      writeFileSync(
        values.json,
        `${JSON.stringify({ at: new Date().toISOString(), load: loadavg(), ...Object.fromEntries(all), ...own }, undefined, 2)}\n`,
      )
    }
    return 0
  } finally {
    const { store } = await import('../dist/index.js')
    await store.remove().catch(() => {})
    podman(disks.podman, 'system', 'reset', '--force')
  }
})
