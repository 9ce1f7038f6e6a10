import * as assert from 'uvu/assert'
import { applyMode, isSymbolicMode } from '../../../lib/build/files/mode.ts'
import { test } from '../../support/uvu.ts'

/** As chmod(1) answers, with a umask of 0. */
const cases: readonly (readonly [mode: string | number, before: number, isDirectory: boolean, after: number])[] = [
  [0o755, 0o600, false, 0o755],
  ['u=rwX,go=rX', 0o600, false, 0o644],
  ['u=rwX,go=rX', 0o700, false, 0o755],
  ['u=rwX,go=rX', 0o600, true, 0o755],
  ['+x', 0o644, false, 0o755],
  ['a-w', 0o777, false, 0o555],
  ['g=u', 0o640, false, 0o660],
  ['o=', 0o777, false, 0o770],
  ['u+s,g+s', 0o755, false, 0o6755],
  ['+t', 0o777, true, 0o1777],
  ['ug+rw-x', 0o111, false, 0o661],
  ['a=rx', 0o7777, false, 0o555],
]

for (const [mode, before, isDirectory, after] of cases) {
  test(`${mode} makes ${after.toString(8)} of ${before.toString(8)}${isDirectory ? ' of a directory' : ''}`, () => {
    assert.is(applyMode(mode, before, isDirectory).toString(8), after.toString(8))
  })
}

test('what is no mode is told apart', () => {
  for (const text of ['u+x', '=', 'a=r,u+w']) assert.ok(isSymbolicMode(text), text)
  for (const text of ['', 'x', 'u', 'u+q', 'u+x,', '+rw x', 'z+r']) assert.not.ok(isSymbolicMode(text), text)
})

test.run()
