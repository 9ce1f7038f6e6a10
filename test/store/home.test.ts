// Where the store is for a user without a home directory.
import { execFileSync } from 'node:child_process'
import { userInfo } from 'node:os'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { defaultRoot, homeDirectory } from '../../lib/store/index.ts'
import { testAs } from '../support/skip.ts'
import { test } from '../support/uvu.ts'

test('the home is $HOME, and where that is no absolute path what passwd(5) says', () => {
  assert.is(homeDirectory({ HOME: '/some/where' }), '/some/where')
  for (const HOME of [undefined, '', 'relative']) assert.is(homeDirectory({ HOME }), userInfo().homedir)
})

testAs(test, ['subid', 'single'], 'the store is in the home, unless a variable says where', () => {
  assert.is(defaultRoot({ HOME: '/some/where' }), '/some/where/.local/share/strake')
  assert.is(defaultRoot({ HOME: '/some/where', XDG_DATA_HOME: '/data' }), '/data/strake')
  assert.is(defaultRoot({ HOME: '/some/where', XDG_DATA_HOME: 'data' }), '/some/where/.local/share/strake')
  assert.is(defaultRoot({ HOME: '', STRAKE_ROOT: '/root/of/it' }), '/root/of/it')
})

/** A uid that passwd(5) has no line for. */
const nameless = 4_200_042

testAs(test, ['root'], 'a uid without a home is told to set STRAKE_ROOT by every call, and the doctor answers', () => {
  const library = new URL('../../lib/index.ts', import.meta.url).href
  const script = `
    const { doctor, image, images, StrakeError, store } = await import(${JSON.stringify(library)})
    process.setgroups([])
    process.setgid(${nameless})
    process.setuid(${nameless})
    delete process.env.HOME
    delete process.env.STRAKE_ROOT
    delete process.env.XDG_DATA_HOME
    const tell = async (work) => {
      const error = await Promise.resolve().then(work).then(() => 'none', (reason) => reason)
      return error instanceof StrakeError ? error.code + (/STRAKE_ROOT/.test(error.hint) ? '' : ' without a hint') : String(error)
    }
    const calls = [
      () => images.list(), () => image('host').exec(['true']), () => image('host').build(), () => store.root, () => store.prune(),
      () => images.pull('127.0.0.1:1/x'),
    ]
    const codes = []
    for (const call of calls) codes.push(await tell(call))
    const { ok, checks } = await doctor()
    console.log(JSON.stringify({ codes, ok, store: checks.find(({ name }) => name === 'store'), text: String(await doctor()) }))`
  const argv = ['--import', 'tsx', '--input-type=module', '-e', script]
  const said = JSON.parse(execFileSync(process.execPath, argv, { encoding: 'utf8', cwd: fileURLToPath(new URL('../..', import.meta.url)) }))
  assert.equal(new Set(said.codes), new Set(['store_invalid']))
  assert.is(said.ok, false)
  assert.match(said.store.detail, 'no home')
  assert.match(said.store.fix, 'STRAKE_ROOT')
  assert.not.match(said.text, 'the check itself failed')
})

test.run()
