// Makes a fresh clone ready: dependencies, the native part, the bundle. Plain Node, since it runs before node_modules exists.
// What is already there and fits its sources (by content) costs a few milliseconds.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')

const lock = join(root, '.setup.lock')

function* filesUnder(path) {
  const full = join(root, path)
  if (!existsSync(full)) return
  if (statSync(full).isFile()) return yield path
  for (const entry of readdirSync(full, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory()) {
      yield* filesUnder(join(path, entry.name))
    } else {
      yield join(path, entry.name)
    }
  }
}

/** A digest of the content of every file under `paths` whose name passes `wanted`. */
function fingerprint(paths, wanted = () => true) {
  const hash = createHash('sha256')
  for (const path of paths) {
    for (const file of filesUnder(path)) {
      if (wanted(file))
        hash
          .update(`${file}\0`)
          .update(readFileSync(join(root, file)))
          .update('\0')
    }
  }
  return hash.digest('hex')
}

const lacks = (made, source) => existsSync(join(root, source)) && !existsSync(join(root, made))

/** The parts in the order in which they need each other: what each is made of, where its stamp lies, and how it is made. */
const parts = [
  {
    name: 'dependencies',
    stamp: 'node_modules/.setup-stamp',
    sources: () => fingerprint(['package.json', 'package-lock.json']),
    missing: () => !existsSync(join(root, 'node_modules')),
    // npm may rewrite the lock file.
    changesSources: true,
    make: () => run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error']),
  },
  {
    name: 'native part',
    stamp: 'build/.setup-stamp',
    sources: () => fingerprint(['binding.gyp', 'native'], (file) => /\.(c|h|S|gyp|json)$/.test(file)),
    missing: () => !existsSync(join(root, 'build/Release/strake.node')),
    wanted: () => process.platform === 'linux' && existsSync(join(root, 'binding.gyp')),
    make: buildNative,
  },
  {
    name: 'bundle',
    stamp: 'dist/.setup-stamp',
    sources: () => fingerprint(['lib', 'repl', 'native', 'tsup.config.ts'], (file) => file.endsWith('.ts')),
    missing: () => lacks('dist/index.js', 'lib/index.ts'),
    make: makeBundle,
  },
  {
    // The REPL knows the library's types by these.
    name: 'declarations',
    stamp: 'dist/.types-stamp',
    sources: () => fingerprint(['lib', 'native', 'tsup.config.ts'], (file) => file.endsWith('.ts')),
    missing: () => lacks('dist/index.d.ts', 'lib/index.ts'),
    make: () => run(process.execPath, ['node_modules/tsup/dist/cli-default.js', '--silent'], { STRAKE_BUNDLE: 'types' }),
  },
]

/** Runs a command quietly; what it printed is shown if it fails. */
function run(command, args, env = {}) {
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28, env: { ...process.env, ...env } })
  if (done.error) throw new Error(`${command} did not start: ${done.error.message}`)
  if (done.status === 0) return
  process.stderr.write(`${done.stdout}${done.stderr}`)
  throw new Error(`${command} ${args.join(' ')} ended with ${done.status ?? done.signal}`)
}

/** dist/ is made beside the old one, which a running program may still be loading from. */
function makeBundle() {
  const fresh = join(root, 'dist.new')
  rmSync(fresh, { recursive: true, force: true })
  run(process.execPath, ['node_modules/tsup/dist/cli-default.js', '--silent'], { STRAKE_BUNDLE: 'code', STRAKE_OUT: 'dist.new' })
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  renameSync(fresh, join(root, 'dist'))
}

/**
 * The directory whose include/node has Node's headers, or none for node-gyp to fetch them. The addon uses the stable Node-API
 * only, so one build serves every version of Node and headers of another version do.
 */
export function headersDirectory() {
  const candidates = [process.env.npm_config_nodedir, resolve(dirname(process.execPath), '..'), '/usr', '/usr/local']
  return candidates.find((path) => path && existsSync(join(path, 'include/node/node_api.h')))
}

/** Builds build/Release/strake.node and build/Release/strake-init. */
export function buildNative() {
  for (const [command, pack] of [
    ['cc', 'gcc'],
    ['make', 'make'],
    ['python3', 'python3'],
  ]) {
    if (spawnSync(command, ['--version'], { stdio: 'ignore' }).error) throw new Error(`${command} is missing: apt-get install ${pack}`)
  }
  const nodedir = headersDirectory()
  run(process.execPath, [
    'node_modules/node-gyp/bin/node-gyp.js',
    'rebuild',
    '--loglevel=error',
    ...(nodedir ? [`--nodedir=${nodedir}`] : []),
  ])
}

function stampOf(part) {
  try {
    return readFileSync(join(root, part.stamp), 'utf8')
  } catch {
    return undefined
  }
}

function isReady(part) {
  if (part.wanted && !part.wanted()) return true
  return !part.missing() && stampOf(part) === part.sources()
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** One set-up at a time in one clone; the lock of a process that is gone is taken over. */
function withLock(work) {
  for (;;) {
    try {
      mkdirSync(lock)
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      const pid = Number(existsSync(join(lock, 'pid')) ? readFileSync(join(lock, 'pid'), 'utf8') : 0)
      const isFresh = existsSync(lock) && Date.now() - statSync(lock).mtimeMs < 2000
      if (pid ? !isAlive(pid) : !isFresh) rmSync(lock, { recursive: true, force: true })
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    }
  }
  writeFileSync(join(lock, 'pid'), String(process.pid))
  try {
    return work()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

/**
 * Makes what is missing or older than its sources.
 * @param {{ only?: readonly string[] }} [options] names of the parts wanted (default: all)
 */
export function setUp(options = {}) {
  const wanted = parts.filter((part) => !options.only || options.only.includes(part.name))
  if (wanted.every(isReady)) return
  withLock(() => {
    for (const part of wanted) {
      if (isReady(part)) continue
      const begun = Date.now()
      const sources = part.sources()
      process.stderr.write(`Making the ${part.name} …\n`)
      part.make()
      writeFileSync(join(root, part.stamp), part.changesSources ? part.sources() : sources)
      process.stderr.write(`  done in ${((Date.now() - begun) / 1000).toFixed(1)} s\n`)
    }
  })
}

/** Runs `main`; an error ends the process with 1 and its message. */
export async function script(main) {
  try {
    process.exitCode = (await main()) ?? 0
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
    process.exitCode = 1
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await script(() => setUp(process.argv.length > 2 ? { only: process.argv.slice(2) } : {}))
}
