import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { processesWith, settled } from '../containers/traces.ts'
import { mounts } from '../support/machine.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const fixture = new URL('./fixtures/', import.meta.url).pathname

interface Ran {
  readonly code: number | null
  readonly output: string
}

async function run(script: string, root: string, args: readonly string[] = []): Promise<Ran> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(fixture, script), ...args], {
    env: { ...process.env, STRAKE_ROOT: root },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += String(chunk)
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}

function groupsOfDead(pid: number): string[] {
  const found: string[] = []
  const look = (directory: string, depth: number): void => {
    if (depth > 5) return
    let names: string[] = []
    try {
      names = readdirSync(directory, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
    } catch {
      return
    }
    for (const name of names) {
      if (new RegExp(`^\\d+-${pid}-\\d+$`).test(name)) found.push(`${directory}/${name}`)
      else if (depth < 5) look(`${directory}/${name}`, depth + 1)
    }
  }
  look('/sys/fs/cgroup', 0)
  return found
}

test('within a second of the SIGKILL of their owner nothing is left of 20 containers, a hostile one among them', async () => {
  using directory = temporaryDirectory('killed')
  const root = join(directory.path, 'store')
  const marker = `marker-${process.pid}-${Date.now()}`
  const before = mounts()
  const owner = spawn(process.execPath, ['--import', 'tsx', join(fixture, 'owner.ts'), marker, '20'], {
    env: { ...process.env, STRAKE_ROOT: root },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(owner.stdout, 'data')
  assert.ok(processesWith(marker).length >= 22, 'they run')
  assert.is(readdirSync(join(root, 'containers')).length, 20)
  const begun = Date.now()
  owner.kill('SIGKILL')
  assert.equal(
    await settled(
      () => processesWith(marker),
      (pids) => pids.length === 0,
      1000,
    ),
    [],
    'processes',
  )
  const took = Date.now() - begun
  assert.ok(took < 1500, `${took} ms`)
  assert.equal(mounts(), before)

  // The next process finds the store as it should be, and takes away what the dead one left.
  const next = await run('next.ts', root)
  assert.equal(next, { code: 0, output: 'hello\n' })
  assert.equal(readdirSync(join(root, 'containers')), [])
  assert.equal(readdirSync(join(root, 'tmp')), [])
  assert.equal(groupsOfDead(Number(owner.pid)), [])
})

test('a process whose work is done ends by itself, with an idle zygote, with spares, and after its zygote was killed', async () => {
  using directory = temporaryDirectory('ends')
  const root = join(directory.path, 'store')
  for (const what of ['idle', 'killed', 'left']) {
    const { code, output } = await run('ends.ts', root, [what])
    assert.equal([what, code, output], [what, 0, 'done\n'])
  }
})

test('process.exit() in the middle of a run takes its containers along', async () => {
  using directory = temporaryDirectory('exits')
  const root = join(directory.path, 'store')
  const marker = `marker-${process.pid}-${Date.now()}`
  const { code } = await run('exits.ts', root, [marker])
  assert.is(code, 3)
  assert.equal(
    await settled(
      () => processesWith(marker),
      (pids) => pids.length === 0,
      1000,
    ),
    [],
  )
})

test.run()
