// Before packing: the compiled native part of this architecture in prebuilds/, and dist/.
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { headersDirectory, root, script, setUp } from './setup.mjs'

function run(args, env = {}) {
  const done = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, ...env } })
  if (done.status !== 0) throw new Error(`${args.join(' ')} ended with ${done.status ?? done.signal}`)
}

function prebuildNative() {
  const nodedir = headersDirectory()
  const bin = join(root, 'node_modules/.bin')
  const env = { PATH: `${bin}:${process.env.PATH}`, ...(nodedir ? { npm_config_nodedir: nodedir } : {}) }
  run(['node_modules/prebuildify/bin.js', '--napi', '--strip', '--tag-libc', `--target=${process.versions.node}`, '--quiet'], env)
  const place = join(root, 'prebuilds', `linux-${process.arch}`)
  // The zygote and PID 1 of containers: a static program that serves glibc and musl alike, looked for beside the addon.
  const program = join(place, 'strake-init')
  copyFileSync(join(root, 'build/Release/strake-init'), program)
  chmodSync(program, 0o755)
  process.stderr.write(`prebuilds/linux-${process.arch}: ${readdirSync(place).join(' ')}\n`)
}

await script(() => {
  setUp()
  if (process.platform === 'linux') prebuildNative()
})
