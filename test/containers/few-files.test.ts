// Too many open files are one code, wherever a start meets them, and the doctor says so.
import { execFileSync } from 'node:child_process'
import * as assert from 'uvu/assert'
import { withCode } from '../../lib/containers/start-error.ts'
import { StrakeError } from '../../lib/errors/index.ts'
import { storeError } from '../../lib/store/index.ts'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { test } from '../support/uvu.ts'

function fewFiles(): Error {
  return Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
}

test('what Node says of too many open files is limit_exceeded, with what raises the limit; anything else stays as it is', () => {
  for (const told of [withCode(fewFiles()), storeError(fewFiles())]) {
    assert.ok(told instanceof StrakeError)
    assert.equal([told.code, told.details?.errno], ['limit_exceeded', 'EMFILE'])
    assert.match(told.hint ?? '', /ulimit -n/)
  }
  const other = new Error('another')
  assert.is(withCode(other), other)
  assert.is(storeError(other), other)
})

test('a process that may open nearly nothing any more is told so by exec', () => {
  if (!has('prlimit')) return skip('prlimit is not installed')
  const library = new URL('../../lib/index.ts', import.meta.url).href
  const script = `
    import { execFileSync } from 'node:child_process'
    import { readdirSync } from 'node:fs'
    const { image } = await import(${JSON.stringify(library)})
    const built = await image('host').build()
    const most = readdirSync('/proc/self/fd').length + 1
    execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=' + most + ':' + most])
    const error = await built.exec(['true']).catch((reason) => reason)
    console.log(error.code)`
  const said = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.is(said, 'limit_exceeded\n')
})

test.run()
