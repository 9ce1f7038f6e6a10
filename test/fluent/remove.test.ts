// test: timeout 120
// What containers wrote is its user's to delete: by plain `rm -rf` where the kernel lets, else by `store.remove()`. docs/users-and-ids.md
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { image, store } from '../../lib/index.ts'
import { idKind } from '../support/machine.ts'
import { testAs } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

/** A store of its own, in which a build and a killed container have left files of several owners, closed directories and odd names. */
async function withUsedStore(work: (root: string) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory('remove')
  const before = process.env.STRAKE_ROOT
  process.env.STRAKE_ROOT = join(directory.path, 'store')
  try {
    const write = 'mkdir -p /w/closed/in && echo x > /w/closed/in/file && echo y > "/w/odd\nname" && mkfifo /w/pipe'
    const give = idKind === 'single' ? 'true' : 'chown -R 33:33 /w'
    const built = await image().from('host').run(`${write} && chmod 000 /w/closed/in /w/closed && ${give}`).build({ tag: 'used:1' })
    const container = await built.start({ cmd: ['sleep', '60'] })
    await container.exec('mkdir -p /v/deep/deeper && echo z > /v/deep/deeper/z && chmod -R 500 /v', { check: true })
    await container.kill('SIGKILL')
    await work(store.root)
  } finally {
    if (existsSync(store.root)) await store.remove()
    if (before === undefined) delete process.env.STRAKE_ROOT
    else process.env.STRAKE_ROOT = before
  }
}

const plainRemove = (path: string): { status: number | null; stderr: string } => spawnSync('rm', ['-rf', path], { encoding: 'utf8' })

test('store.remove() leaves nothing, and the next use makes a new store', () =>
  withUsedStore(async (root) => {
    await store.remove()
    assert.is(existsSync(root), false)
    assert.is((await image().from('host').exec('echo again', { check: true })).stdout, 'again\n')
    assert.ok(existsSync(join(root, 'content', 'index.json')))
  }))

test('a store that somebody else has removed, or removed and made anew, is a new one', () =>
  withUsedStore(async (root) => {
    const other = (code: string): unknown =>
      spawnSync(process.execPath, ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', `${face}${code}`], {
        env: { ...process.env, STRAKE_ROOT: root },
      })
    const face = `import { image, store } from ${JSON.stringify(fileURLToPath(new URL('../../lib/index.ts', import.meta.url)))};`
    for (const code of ['await store.remove()', "await store.remove(); await image('host').exec('true')"]) {
      const running = await (await image('host').build()).start({ cmd: ['sleep', '600'] })
      other(code)
      await new Promise((resolve) => setTimeout(resolve, 300))
      assert.is((await image('host').exec('echo again', { check: true })).stdout, 'again\n', code)
      await running.wait().catch(() => undefined)
      await running.remove()
    }
    await store.remove()
    assert.not(existsSync(root))
  }))

test('store.remove() of a store that is not there, or of which nothing was used, does no harm', async () => {
  using directory = temporaryDirectory('remove')
  const before = process.env.STRAKE_ROOT
  process.env.STRAKE_ROOT = join(directory.path, 'never')
  try {
    await store.remove()
    assert.equal(readdirSync(directory.path), [])
    mkdirSync(store.root)
    await store.remove()
    assert.equal(readdirSync(directory.path), [])
  } finally {
    if (before === undefined) delete process.env.STRAKE_ROOT
    else process.env.STRAKE_ROOT = before
  }
})

test('a container that is removed leaves nothing in the store', () =>
  withUsedStore(async (root) => {
    await using container = await image()
      .from('host')
      .start({ cmd: ['sleep', '60'] })
    await container.exec('mkdir -p /v/deep && echo z > /v/deep/z && chmod 000 /v/deep /v', { check: true })
    const before = readdirSync(join(root, 'containers')).length
    await container.remove()
    assert.is(readdirSync(join(root, 'containers')).length, before - 1)
  }))

testAs(test, ['root'], 'root removes a store by plain rm -rf', () =>
  withUsedStore(async (root) => {
    const { status, stderr } = plainRemove(root)
    assert.is(status, 0, stderr)
    assert.is(existsSync(root), false)
  }),
)

testAs(test, ['subid'], 'with subordinate ids, plain rm -rf is refused what is not the user’s, and store.remove() is not', () =>
  withUsedStore(async (root) => {
    assert.is.not(plainRemove(root).status, 0)
    assert.ok(existsSync(join(root, 'snapshots')))
    await store.remove()
    assert.is(existsSync(root), false)
  }),
)

testAs(test, ['single'], 'with a single id every file is the user’s: rm -rf takes all but directories that a container closed', () =>
  withUsedStore(async (root) => {
    assert.is.not(plainRemove(root).status, 0)
    assert.is(spawnSync('chmod', ['-R', 'u+rwx', root]).status, 0)
    const { status, stderr } = plainRemove(root)
    assert.is(status, 0, stderr)
    assert.is(existsSync(root), false)
  }),
)

test.run()
