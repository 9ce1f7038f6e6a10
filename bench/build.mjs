// `node bench/build.mjs [--rounds=3] [--json=FILE]`: builds of one Dockerfile beside docker's (the classic builder of a dockerd of its own: Debian's client has no buildx; as root only) and podman's,
// alternating, all on the same disk. Ours in this process, theirs by their commands; every cold build is of steps that nobody has seen.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { debianTar } from '../scripts/debian.mjs'
import { script, setUp } from '../scripts/setup.mjs'
import { median, summary } from './statistics.mjs'

const isRoot = process.getuid?.() === 0
const name = 'localhost/bench/debian:1'

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

async function timed(work) {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}

function run(command, args, options = {}) {
  const begin = performance.now()
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26, ...options })
  if (done.status !== 0)
    throw new Error(`${command} ${args.slice(0, 6).join(' ')}: ${done.error?.message ?? `${done.stdout}${done.stderr}`.slice(-500)}`)
  return performance.now() - begin
}

async function startDocker(place) {
  mkdirSync(place)
  const socket = join(place, 'd.sock')
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, DOCKER_CONFIG: join(place, 'config'), DOCKER_BUILDKIT: '0' }
  const places = ['--data-root', join(place, 'data'), '--exec-root', join(place, 'exec'), '--pidfile', join(place, 'pid')]
  const modest = ['--bridge=none', '--iptables=false', '--default-ulimit', 'nofile=20000:20000']
  const child = spawn('unshare', ['--mount', 'dockerd', ...places, ...modest, '-H', `unix://${socket}`], { stdio: 'ignore', env })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const docker = (...args) => run('docker', ['-H', `unix://${socket}`, ...args], { env })
  for (let at = 0; at < 300; at += 1) {
    if (existsSync(socket) && spawnSync('docker', ['-H', `unix://${socket}`, 'version'], { env }).status === 0) break
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  return { docker, stop }
}

function podman(place, ...args) {
  const storage = ['--root', join(place, 'podman'), '--runroot', join(place, 'podman-run'), '--tmpdir', join(place, 'podman-tmp')]
  const all = [...storage, '--cgroup-manager', 'cgroupfs', '--events-backend', 'none', ...args]
  // crun 1.8 refuses a hybrid hierarchy of cgroups: the unified half is taken out of its sight.
  const hidden = 'umount /sys/fs/cgroup/unified 2> /dev/null; exec podman "$@"'
  return isRoot ? run('unshare', ['--mount', 'sh', '-c', hidden, 'sh', ...all]) : run('podman', all)
}

function builders(place, image, docker) {
  return {
    strake: async (text, context) => await timed(() => image().fromDockerfile({ text, context }).build()),
    ...(docker ? { docker: async (text, context) => docker('build', '-q', '--network', 'host', '-f', written(place, text), context) } : {}),
    podman: async (text, context) => podman(place, 'build', '-q', '--layers', '--network', 'host', '-f', written(place, text), context),
  }
}

function written(place, text) {
  const path = join(place, 'Dockerfile')
  writeFileSync(path, text)
  return path
}

async function measure(place, rounds) {
  process.env.STRAKE_ROOT = join(place, 'store')
  const { image } = await import('../dist/index.js')
  const tar = debianTar()
  await image(tar).build({ tag: name })
  podman(place, 'import', '--quiet', tar, name)
  const daemon = isRoot ? await startDocker(join(place, 'docker')) : undefined
  const context = makeContext(join(place, 'context'), 1000)
  const large = makeContext(join(place, 'large'), 20_000)
  try {
    daemon?.docker('import', tar, name)
    const all = builders(place, image, daemon?.docker)
    const times = { cold: {}, cached: {}, changed: {} }
    const note = (kind, who, value) => {
      times[kind][who] ??= []
      times[kind][who].push(value)
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const [who, build] of Object.entries(all)) {
        const text = dockerfile(`${who}-${round}`)
        note('cold', who, await build(text, context))
        for (let again = 0; again < 3; again += 1) note('cached', who, await build(text, context))
      }
    }
    const text = dockerfile('large')
    for (const [who, build] of Object.entries(all)) {
      await build(text, large)
      for (let round = 0; round < rounds; round += 1) {
        writeFileSync(join(large, 'd7', 'f7'), `changed ${who} ${round}\n`)
        note('changed', who, await build(text, large))
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
  const place = mkdtempSync(join(tmpdir(), 'strake-bench-build-'))
  try {
    const measured = await measure(place, Number(values.rounds))
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
    podman(place, 'system', 'reset', '--force')
    rmSync(place, { recursive: true, force: true })
  }
})
