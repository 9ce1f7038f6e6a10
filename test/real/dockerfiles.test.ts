// test: timeout 600
// Dockerfiles as people have them: built as this user, run here, by podman and by dockerd.
import { existsSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { BuildError, type BuildOptions, type Image, image, store } from '../../lib/index.ts'
import { debianTar } from '../../scripts/debian.mjs'
import { startDockerd } from '../support/dockerd.ts'
import { has } from '../support/machine.ts'
import { plainRun, podman } from '../support/podman.ts'
import { skip, testAs } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'
import { c, diamond, node, nodeBase, type Project, python, writeMany, writeProject } from './dockerfiles.ts'

const test = suite<{ isReady: boolean }>('dockerfiles', { isReady: false })
const directory = temporaryDirectory('dockerfiles')
process.env.STRAKE_ROOT = join(directory.path, 'store')

test.before(async (context) => {
  try {
    // Debian's own image for docker says the same to dpkg: nothing here is worth waiting for the disk.
    const quick = { 'etc/dpkg/dpkg.cfg.d/speed': 'force-unsafe-io\n' }
    await image(debianTar()).copy(quick, '/').env({ DEBIAN_FRONTEND: 'noninteractive' }).build({ tag: 'debian:12' })
    context.isReady = true
  } catch (error) {
    skip(`no Debian to build upon: ${(error as Error).message}`)
  }
})

test.after(async () => {
  await store.remove()
  directory[Symbol.dispose]()
})

interface Options extends Pick<BuildOptions, 'tag' | 'secrets' | 'onProgress'> {
  readonly text?: string
  readonly target?: string
  readonly args?: Record<string, string>
}

/** Builds, and shows what the step said when it fails. */
async function build(context: string, { text, target, args, ...options }: Options = {}): Promise<Image> {
  const given = { context, ...(text === undefined ? {} : { text }), ...(target === undefined ? {} : { target }), ...(args ? { args } : {}) }
  try {
    return await image().fromDockerfile(given).build(options)
  } catch (error) {
    if (error instanceof BuildError) process.stderr.write(String(error.details?.log))
    throw error
  }
}

/** Builds, and tells which steps were carried out. */
async function buildAnew(context: string, options: Options = {}): Promise<{ readonly image: Image; readonly anew: readonly string[] }> {
  const anew: string[] = []
  const image = await build(context, {
    ...options,
    onProgress: (event) => {
      if (event.type === 'step' && !event.cached && /^(RUN|COPY)/.test(event.name)) anew.push(event.name)
    },
  })
  return { image, anew }
}

const project = (name: string, what: Project): string => writeProject(join(directory.path, name), what)

/** How this machine reaches the registry of npm. */
function nodeOptions(): Options {
  const registry = process.env.npm_config_registry
  const places = [process.env.NODE_EXTRA_CA_CERTS ?? '', '/etc/ssl/certs/ca-certificates.crt']
  const authorities = places.find((path) => existsSync(path))
  return {
    ...(registry ? { args: { NPM_CONFIG_REGISTRY: registry } } : {}),
    ...(authorities ? { secrets: { ca: { file: authorities } } } : {}),
  }
}

interface Apps {
  readonly node: Image
  readonly python: Image
  readonly c: Image
}

let apps: Apps | undefined
const nodeContext = join(directory.path, 'node')

test('a Node app, a Python app and a C program are built at once, on one base', async ({ isReady }) => {
  if (!isReady) return
  const program = realpathSync(process.execPath)
  const npm = join(dirname(program), '..', 'lib', 'node_modules', 'npm')
  if (!existsSync(npm)) return skip(`no npm beside ${program}`)
  const buildNode = async (): Promise<Image> => {
    await build(dirname(program), { text: nodeBase.program, tag: 'node:program' })
    await build(npm, { text: nodeBase.npm, tag: 'node:npm' })
    return await build(project('node', node), { tag: 'app/node:1', ...nodeOptions() })
  }
  const [one, two, three] = await Promise.all([
    buildNode(),
    build(project('python', python), { tag: 'app/python:1', args: { VERSION: '1.2' } }),
    build(project('c', c), { tag: 'app/c:1' }),
  ])
  apps = { node: one, python: two, c: three }
})

test('npm ci gets the packages; its cache and its secret are in no layer', async () => {
  if (!apps) return
  const { Cmd = [], WorkingDir, ExposedPorts } = apps.node.config
  assert.is((await apps.node.exec(Cmd, { check: true })).stdout, 'function production\n')
  const left = await apps.node.exec('ls -A /root/.npm /run/secrets /app/npm-debug.log 2> /dev/null; ls /app')
  assert.is(left.stdout, 'Dockerfile\nnode_modules\npackage-lock.json\npackage.json\nserver.js\n')
  assert.equal([WorkingDir, ExposedPorts], ['/app', { '3000/tcp': {} }])
})

test('the cache of npm is there for the next build, which needs no network', async () => {
  if (!apps) return
  const again = await build(nodeContext, { target: 'again', ...nodeOptions() })
  assert.is((await again.exec('ls node_modules', { check: true })).stdout, 'debug\nms\n')
})

test('a source that changes has what depends on it done again, and not the packages', async () => {
  if (!apps) return
  writeFileSync(join(nodeContext, 'server.js'), 'console.log("changed")\n')
  const { image, anew } = await buildAnew(nodeContext, nodeOptions())
  assert.equal(anew, ['COPY . .'])
  assert.is((await image.exec(image.config.Cmd ?? [], { check: true })).stdout, 'changed\n')
})

test('the Python app has its packages from apt; what was given for an ARG is its label', async () => {
  if (!apps) return
  const { Entrypoint = [], Cmd = [], Labels, StopSignal } = apps.python.config
  assert.is((await apps.python.exec([...Entrypoint, ...Cmd], { check: true })).stdout, 'hello one two\n')
  assert.equal([Labels?.['org.opencontainers.image.version'], StopSignal], ['1.2', 'SIGINT'])
  const look = await apps.python.exec('getent passwd app | cut -d: -f1,6; ls /var/lib/apt/lists | wc -l', { check: true })
  assert.is(look.stdout, 'app:/app\n0\n')
})

test('the C program is all that there is in its image', async () => {
  if (!apps) return
  assert.is(apps.c.layers.length, 1)
  assert.is((await apps.c.exec(['/hello', 'you'], { check: true })).stdout, 'hello you\n')
  await using started = await apps.c.start()
  assert.is((await started.wait()).exitCode, 0)
})

test('a diamond of thirty stages', async ({ isReady }) => {
  if (!isReady) return
  const text = diamond()
  const first = await build(directory.path, { text })
  // The sums of 1 to n, for each n to 28, and the sum of these.
  assert.is((await first.exec('cat /all/28 /sum; ls /all | wc -l', { check: true })).stdout, '406\n4060\n28\n')
  const second = await buildAnew(directory.path, { text })
  assert.equal([second.image.digest, second.anew], [first.digest, []])
})

test('a context of 20,000 files, some left out; of one that changes those copies are made anew that have it', async ({ isReady }) => {
  if (!isReady) return
  const context = writeMany(join(directory.path, 'many'), 20_000)
  const first = await build(context)
  // 18,000, the one that is taken back, the Dockerfile and the .dockerignore.
  const look = await first.exec('cat /count; cat /all/ignored/d10/f10 /all/src/d199/f19999', { check: true })
  assert.is(look.stdout, '18003\n10\n19999\n')
  writeFileSync(join(context, 'src', 'd2', 'f2'), 'changed\n')
  writeFileSync(join(context, 'ignored', 'd0', 'f0'), 'changed, and not looked at\n')
  const begin = performance.now()
  const { image, anew } = await buildAnew(context)
  process.stdout.write(`# one file changed of 20,000: ${Math.round(performance.now() - begin)} ms\n`)
  assert.equal(anew, ['COPY . /all', 'RUN find /all -type f | wc -l > /count'])
  assert.is((await image.exec('cat /all/src/d2/f2', { check: true })).stdout, 'changed\n')
})

const outputs: readonly (readonly [keyof Apps, string])[] = [
  ['node', 'function production'],
  ['python', 'hello one two'],
  ['c', 'hello world'],
]

testAs(test, ['root'], 'podman runs what was built', async () => {
  if (!has('podman')) return skip('podman is not installed')
  if (!apps) return
  using storage = temporaryDirectory('p', '/tmp')
  for (const [name, output] of outputs) {
    const archive = join(directory.path, `${name}.tar`)
    await apps[name].save(archive, { format: 'oci-archive' })
    const loaded = await podman(storage.path, 'overlay', 'load', '--quiet', '--input', archive)
    assert.is(await podman(storage.path, 'overlay', ...plainRun, loaded.replace(/^Loaded image: /, '')), output)
  }
})

testAs(test, ['root'], 'dockerd runs what was built', async () => {
  if (!has('dockerd') || !has('docker')) return skip('docker is not installed')
  if (!apps) return
  using storage = temporaryDirectory('d')
  await using daemon = await startDockerd(storage.path, { driver: 'overlay2' })
  for (const [name, output] of outputs) {
    const archive = join(directory.path, `${name}.docker.tar`)
    await apps[name].save(archive, { format: 'docker-archive' })
    await daemon.docker('load', '--quiet', '--input', archive)
    assert.is(await daemon.docker('run', '--rm', '--network', 'none', `app/${name}:1`), output)
  }
})

test.run()
