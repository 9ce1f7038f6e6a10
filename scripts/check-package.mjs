// Packs the package, installs it in an empty project as a user would, and looks: both module systems load it, nothing native is
// loaded by that, the declarations compile under both, the command answers.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, script, setUp } from './setup.mjs'

function run(command, args, cwd) {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  if (done.status !== 0) {
    throw new Error(`${command} ${args.join(' ')} ended with ${done.status ?? done.signal}\n${done.stdout}${done.stderr}`)
  }
  return done.stdout
}

/** Fails where the process has an addon mapped, or has a child. */
const nothingNative = `
const { sharedObjects } = process.report.getReport()
const loaded = sharedObjects.filter((path) => path.endsWith('.node'))
if (loaded.length > 0) throw new Error('loaded at import: ' + loaded)
const children = require('node:fs').readFileSync('/proc/thread-self/children', 'utf8').trim()
if (children) throw new Error('started at import: ' + children)
`

const typed = `import { type ContainerOptions, type ErrorCode, image, StrakeError } from 'strake'
import type { Op } from 'strake/sys'
export const code: ErrorCode = new StrakeError('aborted', 'x').code
export const op: Op = { op: 'setHostname', name: 'box' }
export const some: ContainerOptions = { capabilities: { add: ['NET_ADMIN', 'cap_chown', 'ALL'] } }
// @ts-expect-error There is no such capability.
export const none: ContainerOptions = { capabilities: { add: ['FOO'] } }
// @ts-expect-error There is no such signal.
image('scratch').stopSignal('SIGFOO')
// @ts-expect-error Declarations that lost their types would let this pass.
export const wrong: Op = { op: 'no such op' }
`

function checks(project) {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const faces = Object.keys(exports)
    .filter((face) => !face.endsWith('.json'))
    .map((face) => face.replace(/^\./, 'strake'))
  writeFileSync(
    join(project, 'esm.mjs'),
    `
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
for (const face of ${JSON.stringify(faces)}) if (Object.keys(await import(face)).length === 0) throw new Error(face + ' is empty')
${nothingNative}`,
  )
  writeFileSync(
    join(project, 'cjs.cjs'),
    `
for (const face of ${JSON.stringify(faces)}) if (Object.keys(require(face)).length === 0) throw new Error(face + ' is empty')
${nothingNative}`,
  )
  writeFileSync(
    join(project, 'both.mjs'),
    `
import { createRequire } from 'node:module'
import { image, BuildError, StrakeError } from 'strake'
const other = createRequire(import.meta.url)('strake')
const refused = await image().build().catch((error) => error)
if (!(refused instanceof StrakeError) || !(refused instanceof other.StrakeError) || refused instanceof other.BuildError)
  throw new Error('an error of import is none of require')
if (refused.constructor.name !== 'StrakeError' || !/^StrakeError/.test(refused.stack)) throw new Error(refused.constructor.name)
if (!(new other.BuildError('x', { state: 1 }) instanceof BuildError)) throw new Error('a BuildError of require is none of import')
if (new Error('x') instanceof StrakeError || new (class Own extends other.StrakeError {})('aborted', 'x') instanceof BuildError)
  throw new Error('other errors are')
`,
  )
  writeFileSync(join(project, 'typed.mts'), typed)
  writeFileSync(join(project, 'typed.cts'), typed)
  const compilerOptions = {
    module: 'NodeNext',
    target: 'ES2022',
    strict: true,
    noEmit: true,
    types: ['node'],
    lib: ['ES2023', 'ESNext.Disposable'],
  }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['typed.mts', 'typed.cts'] }))
  const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version
  return {
    'import loads the package and nothing native': () => run(process.execPath, ['esm.mjs'], project),
    'require loads the package and nothing native': () => run(process.execPath, ['cjs.cjs'], project),
    'errors of import are those of require in the same process': () => run(process.execPath, ['both.mjs'], project),
    'the declarations compile for import and require': () =>
      run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], project),
    'the addon and the zygote are shipped': () => {
      if (process.platform !== 'linux') return
      const place = join(project, 'node_modules/strake/prebuilds', `linux-${process.arch}`)
      for (const file of ['strake-init', 'strake.glibc.node']) {
        if (!existsSync(join(place, file))) throw new Error(`${join(place, file)} is not in the package`)
      }
    },
    'the strake command runs a line of code': () => {
      const printed = run(join(project, 'node_modules/.bin/strake'), ['-e', 'console.log(typeof image, 6 * 7)'], project)
      if (!printed.includes('function 42')) throw new Error(`printed ${JSON.stringify(printed)} (version ${version})`)
    },
  }
}

await script(() => {
  setUp()
  const project = mkdtempSync(join(tmpdir(), 'strake-package-'))
  let failed = 0
  let passed = 0
  try {
    const packed = run('npm', ['pack', '--json', '--pack-destination', project], root)
    const [{ filename, size, entryCount }] = JSON.parse(packed.slice(packed.indexOf('[')))
    console.log(`${filename}: ${Math.ceil(size / 1024)} kB, ${entryCount} files`)
    writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'user', private: true }))
    mkdirSync(join(project, 'node_modules'))
    run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(project, filename)], project)
    for (const [name, check] of Object.entries(checks(project))) {
      try {
        check()
        passed += 1
        console.log(`ok  ${name}`)
      } catch (error) {
        failed += 1
        console.log(`--- ${name}\n${error.message}\n---`)
      }
    }
  } finally {
    rmSync(project, { recursive: true, force: true })
  }
  console.log(`\n${passed} passed, ${failed} failed, 0 skipped`)
  return failed > 0 ? 1 : 0
})
