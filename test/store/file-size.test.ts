// A limit of file sizes (RLIMIT_FSIZE, `ulimit -f`) is one code, wherever the store meets it.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { StrakeError } from '../../lib/errors/index.ts'
import { storeError } from '../../lib/store/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

test('EFBIG is limit_exceeded, with what raises the limit', () => {
  const told = storeError(Object.assign(new Error('EFBIG: file too large, write'), { code: 'EFBIG' }))
  assert.ok(told instanceof StrakeError)
  assert.equal([told.code, told.details?.errno], ['limit_exceeded', 'EFBIG'])
  assert.match(told.hint ?? '', /ulimit -f/)
})

const library = new URL('../../lib/index.ts', import.meta.url).href

/** What a program prints that may write files of so many units of 512 bytes. */
function limited(blocks: number | 'unlimited', root: string, script: string): string {
  const limit = `ulimit -f ${blocks} && exec "$@"`
  const argv = ['-c', limit, 'sh', process.execPath, '--import', 'tsx', '--input-type=module', '-e', script]
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  return execFileSync('sh', argv, { encoding: 'utf8', cwd, env: { ...process.env, STRAKE_ROOT: root } })
}

test('a process that may write small files only is told so by builds, snapshots, files, images and starts', () => {
  using place = temporaryDirectory('file-size')
  const [root, other, archive] = [`${place.path}/store`, `${place.path}/other`, `${place.path}/base.tar`]
  const head = `
    import { existsSync } from 'node:fs'
    const { image, images, StrakeError, store } = await import(${JSON.stringify(library)})
    const archive = ${JSON.stringify(archive)}
    const told = {}
    const tell = async (name, work) => {
      const error = await Promise.resolve().then(work).then(() => 'none', (reason) => reason)
      told[name] = error instanceof StrakeError ? error.code + (/ulimit -f/.test(error.hint) ? '' : ' without a hint') : String(error)
    }
    const end = () => { console.log(JSON.stringify(told)); process.exit() }
    `
  const write = 'for i in 1 2 3 4 5; do head -c 80000 /dev/urandom > /y$i || exit; done'
  limited(
    'unlimited',
    root,
    `${head} const base = await image('host').build({ tag: 'base:1' }); await base.save(archive); await base.exec('true', { check: true }); end()`,
  )
  const small = limited(
    200,
    root,
    `${head}
    const base = await images.get('base:1')
    await tell('run', () => image(base).run('${write}').build())
    await tell('copy', () => image(base).copy({ x: 'x'.repeat(300_000) }, '/').build())
    await tell('save', () => base.save(archive + '.2'))
    const container = await base.start({ cmd: ['sleep', '600'] })
    await tell('writeFile', () => container.fs.writeFile('/x', 'x'.repeat(300_000)))
    await container.exec('${write}', { check: true })
    await tell('snapshot', () => container.snapshot())
    await container.remove()
    end()`,
  )
  const codes = { run: 'limit_exceeded', copy: 'limit_exceeded', save: 'limit_exceeded' }
  assert.equal(JSON.parse(small), { ...codes, writeFile: 'limit_exceeded', snapshot: 'limit_exceeded' })
  const anew = `${head}
    await tell('build', () => image('host').build())
    await tell('load', () => images.load(archive))
    end()`
  assert.equal(JSON.parse(limited(200, other, anew)), { build: 'limit_exceeded', load: 'limit_exceeded' })
  // Not even the helper can be copied.
  assert.equal(JSON.parse(limited(2, other, anew)), { build: 'limit_exceeded', load: 'limit_exceeded' })
  limited('unlimited', root, `${head} await store.remove()`)
  limited('unlimited', other, `${head} await store.remove()`)
})

test.run()
