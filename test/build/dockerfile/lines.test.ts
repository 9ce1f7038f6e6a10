// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a Dockerfile has substitutions of its own
import * as assert from 'uvu/assert'
import { readInstructions } from '../../../lib/build/dockerfile/lines.ts'
import { test } from '../../support/uvu.ts'

const texts = (text: string): string[] => readInstructions(text).map((line) => line.text)

test('a line goes on after an escape, over comments and empty lines', () => {
  assert.equal(texts('RUN a \\\n  # no\n\n\t# nor this \\\n  b \\  \n c\nRUN d'), ['RUN a   b  c', 'RUN d'])
})

test('an escape that is escaped, or not at the end, does not join lines', () => {
  assert.equal(texts('RUN a \\\\\nRUN b \\ c\nRUN d \\ \\\n e'), ['RUN a \\\\', 'RUN b \\ c', 'RUN d \\  e'])
})

test('a line that goes on and then ends the file is one', () => {
  assert.equal(texts('RUN a \\\n'), ['RUN a'])
  assert.equal(texts('\\\nRUN a'), ['RUN a'])
})

test('indented and Windows lines, a byte order mark', () => {
  assert.equal(texts('\ufeff  RUN a\r\n\tRUN b \\\r\n c\r\n'), ['RUN a', 'RUN b  c'])
})

test('directives stand above all else; the escape is that of the whole file', () => {
  assert.equal(texts('# syntax=docker/dockerfile:1\n#escape = `\n# check=skip=all\nRUN a `\n b \\\nRUN c'), ['RUN a  b \\', 'RUN c'])
  assert.equal(texts('\n# escape=`\nRUN a \\\n b'), ['RUN a  b'], 'after an empty line it is a comment')
  assert.equal(texts('# hello\n# escape=`\nRUN a \\\n b'), ['RUN a  b'], 'after a comment, too')
})

test('where a character stands is told, across joined lines', () => {
  const [line] = readInstructions('\n  RUN a \\\n# x\n    bc d\n')
  assert.equal(line?.at(0), { line: 2, column: 3 })
  assert.equal(line?.at(line.text.indexOf('bc')), { line: 4, column: 5 })
  assert.equal(line?.at(line.text.indexOf('d')), { line: 4, column: 8 })
})

const heredocs = (text: string): string[][] =>
  readInstructions(text).map((line) => line.heredocs.map(({ name, content }) => `${name}:${content}`))

test('a heredoc goes to the line that is its name', () => {
  assert.equal(heredocs('RUN <<EOF\na\n  EOF\nEOF \n# no comment\n\nEOF\nRUN b'), [['EOF:a\n  EOF\nEOF \n# no comment\n\n'], []])
})

test('several, in their order; a descriptor before it; white space within', () => {
  assert.equal(heredocs('RUN cat <<A 3<<B\n1\nB\nA\n2\nB\nCOPY << C /x\n3\nC'), [['A:1\nB\n', 'B:2\n'], ['C:3\n']])
})

test('what is quoted does not expand, a dash takes tabs at its end', () => {
  const [line] = readInstructions('COPY <<"A" <<\'B\' <<-C <<D /x/\n$a\nA\nB\n\tc\n\tC\nD\n')
  assert.equal(
    line?.heredocs.map(({ name, expands, stripsTabs, content }) => [name, expands, stripsTabs, content]),
    [
      ['A', false, false, '$a\n'],
      ['B', false, false, ''],
      ['C', true, true, '\tc\n'],
      ['D', true, false, ''],
    ],
  )
})

test('what only looks like a heredoc is none', () => {
  const none = [
    'RUN echo "a <<EOF b"',
    "RUN echo '<<EOF'",
    'RUN echo $((1<<2))',
    'RUN cat <<<word',
    'RUN ["cat", "<<EOF"]',
    'ENV A=<<EOF',
    'CMD cat <<EOF',
    'RUN a\\<<EOF',
  ]
  for (const text of none) assert.equal(heredocs(`${text}\nRUN b`), [[], []], text)
})

test('ONBUILD has heredocs, too, and their lines end as they did', () => {
  assert.equal(heredocs('ONBUILD RUN <<E\r\na\r\nE\r\nRUN b\r\n'), [['E:a\r\n'], []])
})

test.run()
