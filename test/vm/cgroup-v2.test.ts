// test: alone
// test: timeout 900
// Boots a second kernel once and has the tests of lib/cgroups, and a smoke test of containers, run there: see README.md in this directory.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import * as assert from 'uvu/assert'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const here = fileURLToPath(new URL('.', import.meta.url))
const runs: Readonly<Record<string, string>> = {
  'cgroups-root': 'the tests of cgroups pass as root',
  'cgroups-leaf': 'the tests of cgroups pass as a user whose process is in a leaf of what was delegated, as under systemd',
  'place-self': 'groups can be made as a user whose process is in the very group that was delegated',
  'cgroups-none': 'a user without a delegated group is told so',
  'container-root': 'containers and their limits work as root',
  'container-leaf': 'containers and their limits work as a user with a delegated group',
  'container-none': 'containers work as a user without one, limited by resource limits',
}
const names = Object.keys(runs)

const missing = ['qemu-system-x86_64', 'cpio', 'busybox', 'mkfs.ext4', 'dpkg'].filter((command) => !has(command))
const files = new Map<string, string>()
let console = ''
if (missing.length === 0) {
  using results = temporaryDirectory('vm')
  await build({
    config: false,
    silent: true,
    entry: [join(here, 'inside/container.ts')],
    outDir: join(here, '../../build/vm'),
    format: 'esm',
    target: 'node20',
    clean: false,
  })
  const machine = spawn(join(here, 'run'), ['--timeout', '840', '--', join(here, 'inside/suite'), ...names], {
    cwd: join(here, '../..'),
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, VM_RESULTS: results.path },
  })
  machine.stdout.on('data', (chunk) => (console += chunk))
  machine.stderr.on('data', (chunk) => (console += chunk))
  await once(machine, 'close')
  for (const name of readdirSync(results.path)) files.set(name, readFileSync(join(results.path, name), 'utf8'))
}

for (const name of names) {
  test(`cgroup v2: ${runs[name]}`, () => {
    if (missing.length > 0) return skip(`${missing.join(', ')} not installed (qemu-system-x86 cpio busybox-static e2fsprogs)`)
    assert.is(files.get(`${name}.status`)?.trim(), '0', `${name}\n${files.get(`${name}.log`)}\n${console}`)
    assert.is(files.get(`${name}.left`), '', 'cgroups are left')
  })
}

test.run()
