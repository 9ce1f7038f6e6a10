import * as assert from 'uvu/assert'
import { nearestName, optionCheck, StrakeError } from '../../lib/errors/index.ts'
import { test } from '../support/uvu.ts'

const known = ['memory', 'cpus', 'pids', 'noNewPrivileges', 'cwd']

test('the name that was meant by a mistyped one', () => {
  const meant: Readonly<Record<string, string | undefined>> = {
    memroy: 'memory',
    Memory: 'memory',
    mem: undefined,
    cpu: 'cpus',
    pid: 'pids',
    noNewPriviledges: 'noNewPrivileges',
    cdw: 'cwd',
    foo: undefined,
    '': undefined,
    ['x'.repeat(1_000_000)]: undefined,
  }
  for (const [word, name] of Object.entries(meant)) assert.is(nearestName(word, known), name, word.slice(0, 20))
})

test('names that every object has are no options', () => {
  const check = optionCheck<{ readonly a?: number }>('it', { a: true })
  check({})
  check({ a: undefined })
  check(Object.create(null))
  for (const name of ['toString', '__proto__', 'constructor']) {
    try {
      check(JSON.parse(`{ "${name}": 1 }`))
      assert.unreachable(name)
    } catch (error) {
      assert.instance(error, StrakeError)
      assert.match((error as StrakeError).message, name)
    }
  }
})

test.run()
