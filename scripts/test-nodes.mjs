// The suite on each supported Node, from the npm packages that hold its binaries. Arguments are passed on to scripts/test.mjs; `--only 22,24`
// chooses versions; `--core` takes the part of the suite that touches what differs between versions of Node.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root, script, setUp } from './setup.mjs'

export const versions = ['20', '22', '24', '26']

/** Where what differs between versions of Node is met: the addon, streams, the REPL, zlib, loading the package. */
export const core = [
  'test/sys',
  'test/process/plan.test.ts',
  'test/zygote/connection.test.ts',
  'test/zygote/workers.test.ts',
  'test/containers/input.test.ts',
  'test/containers/row.test.ts',
  'test/layers/compress.test.ts',
  'test/layers/decompress.test.ts',
  'test/layers/unpack.test.ts',
  'test/repl/inputs.test.ts',
  'test/fluent/sources.test.ts',
]

/** The path of a Node of that major version; installed once under the system's temporary directory. */
function provideNode(major) {
  const pack = `node-linux-${process.arch}`
  const place = join(tmpdir(), 'strake-nodes', major)
  const node = join(place, 'node_modules', pack, 'bin/node')
  if (existsSync(node)) return node
  mkdirSync(place, { recursive: true })
  const done = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', place, `${pack}@${major}`], {
    cwd: place,
    stdio: ['ignore', 2, 2],
  })
  if (done.status !== 0 || !existsSync(node)) throw new Error(`${pack}@${major} could not be installed`)
  return node
}

await script(() => {
  const options = { only: { type: 'string' }, core: { type: 'boolean' } }
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  setUp()
  const chosen = values.only ? values.only.split(',') : versions
  const filters = values.core ? core.filter((path) => existsSync(join(root, path))) : positionals
  let isGood = true
  for (const major of chosen) {
    const node = provideNode(major)
    const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
    console.log(`\nOn Node ${stdout.trim()}`)
    const done = spawnSync(node, ['scripts/test.mjs', ...filters], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    if (done.status !== 0) isGood = false
  }
  return isGood ? 0 : 1
})
