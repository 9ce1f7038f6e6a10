// Before packing: the compiled native part in prebuilds/ and all of dist/. `--all` adds the other C library and processor, by the
// cross compilers of scripts/peers.mjs (group `pack`); without it this machine's own only.
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { providePeers } from './peers.mjs'
import { headersDirectory, root, script, setUp } from './setup.mjs'

function run(command, args, env = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, ...env } })
  if (done.error || done.status !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${done.status ?? done.signal ?? done.error}`)
}

/** This machine's own, by node-gyp. strake-init lies beside the addon: a static program, that serves every C library alike. */
function prebuildHere(nodedir) {
  const env = { PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}`, ...(nodedir ? { npm_config_nodedir: nodedir } : {}) }
  const args = ['--napi', '--strip', '--tag-libc', `--target=${process.versions.node}`, '--quiet']
  run(process.execPath, ['node_modules/prebuildify/bin.js', ...args], env)
  const program = join(root, 'prebuilds', `linux-${process.arch}`, 'strake-init')
  copyFileSync(join(root, 'build/Release/strake-init'), program)
  chmodSync(program, 0o755)
}

/** Debian's cross compilers; `headers`: the compiler has no kernel headers of its own and borrows this machine's. */
const others = [
  { compiler: 'musl-gcc', place: 'linux-x64', addon: 'strake.musl.node', headers: true },
  { compiler: 'aarch64-linux-gnu-gcc', place: 'linux-arm64', addon: 'strake.glibc.node', program: 'strake-init' },
]

/** Sources and flags of a target, as binding.gyp gives them. */
function recipe(name) {
  const { targets } = JSON.parse(readFileSync(join(root, 'binding.gyp'), 'utf8'))
  const { conditions } = targets.find((target) => target.target_name === name)
  const { sources, cflags = [], ldflags = [], defines = [] } = conditions.find(([condition]) => condition === "OS=='linux'")[1]
  return [...cflags, ...defines.map((define) => `-D${define}`), '-Inative', ...ldflags, '-s', ...sources]
}

function prebuildOther({ compiler, place, addon, program, headers }, nodedir) {
  const borrowed = mkdtempSync(join(tmpdir(), 'strake-headers-'))
  try {
    if (headers) {
      for (const name of ['linux', 'asm-generic']) symlinkSync(`/usr/include/${name}`, join(borrowed, name))
      symlinkSync('/usr/include/x86_64-linux-gnu/asm', join(borrowed, 'asm'))
    }
    const directory = join(root, 'prebuilds', place)
    mkdirSync(directory, { recursive: true })
    const includes = ['-isystem', borrowed, `-I${nodedir}/include/node`]
    run(compiler, ['-fPIC', '-shared', '-pthread', ...includes, ...recipe('strake'), '-o', join(directory, addon)])
    if (program) run(compiler, [...recipe('strake-init'), '-o', join(directory, program)])
  } finally {
    rmSync(borrowed, { recursive: true, force: true })
  }
}

await script(() => {
  setUp()
  if (process.platform !== 'linux') return
  const prebuilds = join(root, 'prebuilds')
  rmSync(prebuilds, { recursive: true, force: true })
  const nodedir = headersDirectory()
  prebuildHere(nodedir)
  if (process.argv.includes('--all')) {
    const missing = providePeers(['pack'])
    if (missing.length > 0) return 1
    for (const other of others) prebuildOther(other, nodedir)
  }
  for (const place of readdirSync(prebuilds)) process.stderr.write(`prebuilds/${place}: ${readdirSync(join(prebuilds, place)).join(' ')}\n`)
})
