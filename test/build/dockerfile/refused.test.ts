// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a Dockerfile has substitutions of its own
import * as assert from 'uvu/assert'
import { dockerfileSteps } from '../../../lib/build/index.ts'
import { StrakeError } from '../../../lib/errors/index.ts'
import { test } from '../../support/uvu.ts'

function refusal(text: string, target?: string): StrakeError {
  try {
    dockerfileSteps({ text, ...(target === undefined ? {} : { target }) })
  } catch (error) {
    if (error instanceof StrakeError) return error
    throw error
  }
  throw new Error(`not refused: ${text.slice(0, 200)}`)
}

/** A Dockerfile, the line and column of what is wrong with it, and a word of the message. */
const wrong: readonly (readonly [string, number, number, RegExp])[] = [
  ['', 1, 1, /no FROM/],
  ['# nothing\n\n', 1, 1, /no FROM/],
  ['RUN x', 1, 1, /before the first FROM/],
  ['ARG\nFROM a', 1, 1, /needs a name/],
  ['FROM', 1, 5, /needs an image/],
  ['FROM a b', 1, 8, /AS/],
  ['FROM a AS', 1, 8, /AS/],
  ['FROM a AS b c', 1, 8, /AS/],
  ['FROM a AS 1b', 1, 11, /named/],
  ['FROM --platfrom=x a', 1, 6, /--platfrom/],
  ['FROM --platform=x a', 1, 6, /platform/],
  ['FROM A', 1, 6, /lower case/],
  ['FROM $X', 1, 6, /empty/],
  ['FROM ${X', 1, 6, /closing }/],
  ['FROM a\nFOO x', 2, 1, /"FOO" is unknown/],
  ['FROM a\n   copi x y', 2, 4, /"COPI" is unknown/],
  ['FROM a\nRUN', 2, 1, /needs a command/],
  ['FROM a\nRUN ["a", 1]', 2, 5, /strings/],
  ['FROM a\nRUN []', 2, 5, /empty/],
  ['FROM a\nRUN --bogus x', 2, 5, /--bogus/],
  ['FROM a\nRUN --network=x y', 2, 5, /network/],
  ['FROM a\nRUN --network y', 2, 5, /value/],
  ['FROM a\nRUN --network=none --network=none y', 2, 20, /twice/],
  ['FROM a\nRUN --security=insecure y', 2, 5, /insecure/],
  ['FROM a\nRUN --mount=type=x y', 2, 5, /unknown type/],
  ['FROM a\nRUN a && \\\n --mount=type=cache b\nRUN --mount=type=cache b', 4, 5, /target/],
  ['FROM a\nRUN --mount=type=bind,target=/x,colour=red y', 2, 5, /colour/],
  ['FROM a\nRUN --mount=type=tmpfs,target=/x,size=huge y', 2, 5, /size/],
  ['FROM a\nRUN --mount=type=secret y', 2, 5, /id or a target/],
  ['FROM a\nRUN --mount=from=$x,target=/x y', 2, 5, /variable/],
  ['FROM a\nRUN <<EOF\nx\n', 2, 5, /EOF does not end/],
  ['FROM a\nRUN cat <<A <<B\nA\nx', 2, 13, /B does not end/],
  ['FROM a\nCOPY x', 2, 6, /destination/],
  ['FROM a\nCOPY', 2, 5, /destination/],
  ['FROM a\nCOPY ["x"]', 2, 6, /destination/],
  ['FROM a\nCOPY x y z', 2, 10, /must end in "\/"/],
  ['FROM a\nCOPY x \\\n # c\n\n  y \\\n  z', 6, 3, /must end in "\/"/],
  ['FROM a\nCOPY ../x y', 2, 6, /leads out/],
  ['FROM a\nCOPY x <<EOF\nEOF\n', 2, 8, /no destination/],
  ['FROM a\nCOPY --chmod=x a b', 2, 16, /mode/],
  ['FROM a\nCOPY --link=maybe a b', 2, 6, /true or false/],
  ['FROM a\nCOPY --checksum=x a b', 2, 6, /--checksum/],
  ['FROM a\nCOPY --from=$x a b', 2, 6, /variable/],
  ['FROM a\nCOPY --from=1 a b', 2, 6, /no stage 1/],
  ['FROM a\nCOPY --from=B a b', 2, 6, /lower case/],
  ['FROM a AS x\nCOPY --from=x a b', 2, 6, /itself/],
  ['FROM a AS x\nCOPY --from=0 a b', 2, 6, /itself/],
  ['FROM a AS x\nCOPY --from=y a b\nFROM a AS y\nCOPY --from=x a b', 2, 6, /later \(line 3\)/],
  ['FROM a AS x\nRUN --mount=from=y,target=/y b\nFROM a AS y\nRUN --mount=from=x,target=/x b', 2, 5, /later \(line 3\)/],
  ['FROM a\nADD --checksum=sha256:00 http://x/y z', 2, 26, /checksum/],
  ['FROM a\nENV', 2, 1, /name=value/],
  ['FROM a\nENV x', 2, 5, /a name and a value/],
  ['FROM a\nENV x=1 y', 2, 9, /no "="/],
  ['FROM a\nENV =1', 2, 5, /without a name/],
  ['FROM a\nENV x="y', 2, 7, /closing "/],
  ['FROM a\nENV a=1\nENV b=1 x=${a', 3, 11, /closing }/],
  ['FROM a\nENV a=1\nENV x=${a!}', 3, 7, /unknown substitution/],
  ['FROM scratch\nENV x="${y:?is missing}"', 2, 7, /y: is missing/],
  ['FROM a\nLABEL x', 2, 7, /a name and a value/],
  ['FROM a\nEXPOSE', 2, 1, /port/],
  ['FROM a\nEXPOSE 80 99999', 2, 11, /"99999"/],
  ['FROM a\nEXPOSE 90-80', 2, 8, /"90-80"/],
  ['FROM a\nEXPOSE 80/icmp', 2, 8, /icmp/],
  ['FROM a\nVOLUME []', 2, 8, /path/],
  ['FROM a\nVOLUME ["a", ""]', 2, 8, /path/],
  ['FROM a\nUSER', 2, 1, /user/],
  ['FROM a\nUSER a b', 2, 6, /user/],
  ['FROM a\nUSER 99999999999', 2, 6, /ids from 0 to/],
  ['FROM a\nCOPY --chown=-1 a b', 2, 17, /ids from 0 to/],
  ['FROM a\nCOPY --chown=1:99999999999 a b', 2, 28, /ids from 0 to/],
  ['FROM a\nADD --chown=99999999999 a b', 2, 25, /ids from 0 to/],
  ['FROM a\nWORKDIR', 2, 1, /path/],
  ['FROM a\nSHELL bash', 2, 7, /array/],
  ['FROM a\nSHELL []', 2, 7, /array/],
  ['FROM a\nSTOPSIGNAL SIGNOPE', 2, 12, /signal/],
  ['FROM a\nHEALTHCHECK', 2, 12, /NONE or CMD/],
  ['FROM a\nHEALTHCHECK NONE x', 2, 18, /nothing more/],
  ['FROM a\nHEALTHCHECK CMD', 2, 13, /command/],
  ['FROM a\nHEALTHCHECK --interval=x CMD y', 2, 13, /duration/],
  ['FROM a\nHEALTHCHECK --interval=1us CMD y', 2, 13, /1ms/],
  ['FROM a\nHEALTHCHECK --retries=-1 CMD y', 2, 13, /number/],
  ['FROM a\nCMD', 2, 1, /command/],
  ['FROM a\nENTRYPOINT', 2, 1, /command/],
  ['FROM a\nONBUILD', 2, 1, /instruction/],
  ['FROM a\nONBUILD ONBUILD RUN x', 2, 9, /ONBUILD/],
  ['FROM a\nONBUILD FROM x', 2, 9, /FROM/],
  ['FROM a\nONBUILD FOO x', 2, 9, /"FOO" is unknown/],
  ['FROM a\nONBUILD COPY --bad=1 x y', 2, 14, /--bad/],
  ['FROM a\nARG =1', 2, 5, /without a name/],
  ['# escape=x\nFROM a', 1, 10, /escape/],
  ['# escape=`\n# escape=`\nFROM a', 2, 3, /twice/],
  ['# syntax=example.org/own\nFROM a', 1, 10, /syntax/],
]

for (const [text, line, column, message] of wrong) {
  test(`refused at ${line}:${column}: ${JSON.stringify(text)}`, () => {
    const error = refusal(text)
    assert.is(error.code, 'dockerfile_invalid', error.message)
    assert.match(error.message, message)
    assert.equal([error.details?.line, error.details?.column], [line, column], error.message)
  })
}

test('what is wrong in a stage that nobody needs is told, too', () => {
  assert.match(refusal('FROM a AS x\nFOO\nFROM b').message, 'line 2, column 1')
})

test('a target that there is none of', () => {
  const error = refusal('FROM a AS one\nFROM b', 'tow')
  assert.is(error.code, 'dockerfile_invalid')
  assert.match(error.hint ?? '', 'one, 1')
  assert.is(refusal('FROM a', '1').code, 'dockerfile_invalid')
})

test('wrong options are refused before anything is read', () => {
  const code = (options: object): string => {
    try {
      dockerfileSteps(options)
    } catch (error) {
      if (error instanceof StrakeError) return error.code
      throw error
    }
    return 'none'
  }
  for (const options of [{ text: 1 }, { path: 'x', text: 'FROM a' }, { text: 'FROM a', target: {} }, { text: 'FROM a', args: { A: 1 } }])
    assert.is(code(options), 'invalid_argument', JSON.stringify(options))
  for (const options of [
    { text: 'FROM a', platform: 'x' },
    { text: 'FROM a', context: '' },
    { txt: 'FROM a' },
    { text: 'FROM a', args: { 'a b': '1' } },
  ])
    assert.is(code(options), 'invalid_argument', JSON.stringify(options))
  assert.is(code({ path: '/nowhere/Dockerfile' }), 'context_invalid')
  assert.is(code({ path: '/' }), 'context_invalid')
  assert.is(code({ text: 'x'.repeat(17 << 20) }), 'limit_exceeded')
})

test('names that objects have are names like others', () => {
  const [, , env] = dockerfileSteps({ text: 'FROM scratch\nENV A=1\nENV x=${constructor:-d} y=${__proto__:-d} toString=1' })
  assert.equal(env?.kind === 'env' && { ...env.variables }, { x: 'd', y: 'd', toString: '1' })
  assert.is(refusal('FROM a\nCOPY --constructor=1 a b').code, 'dockerfile_invalid')
})

/** What is large is read, or refused, in seconds of this process's own: others may keep the machine busy. */
function quickly<Result>(work: () => Result): Result {
  const before = process.cpuUsage()
  const result = work()
  const { user, system } = process.cpuUsage(before)
  const took = (user + system) / 1000
  assert.ok(took < 5000, `took ${took} ms`)
  return result
}

test('what no image can be made of is refused, with its place, as soon as it is read', () => {
  assert.is(quickly(() => dockerfileSteps({ text: `FROM a\n${'RUN echo x\n'.repeat(10_000)}` })).length, 10_001)
  for (const [text, line] of [
    [`FROM a\n${'RUN echo x\n'.repeat(99_999)}`, 10_002],
    [`FROM a AS s\n${'ENV A=1\n'.repeat(6000)}FROM s\n${'ENV A=1\n'.repeat(6000)}`, 10_003],
    [`FROM scratch AS s0\n${Array.from({ length: 99_999 }, (_, at) => `FROM scratch AS s${at + 1}\n`).join('')}ENV A=1`, 100_001],
  ] as const) {
    const { code, details } = quickly(() => refusal(text))
    assert.equal([code, details?.line, details?.column], ['dockerfile_invalid', line, 1])
  }
})

test('stages in a chain, as many as there may be steps, are read in seconds', () => {
  const text = `FROM scratch AS s0\n${Array.from({ length: 5000 }, (_, at) => `FROM s${at} AS s${at + 1}\nENV A${at}=1\n`).join('')}`
  assert.is(quickly(() => dockerfileSteps({ text })).length, 2)
})

test('100,000 lines are read; 10 MB on one are refused, with their place', () => {
  assert.is(quickly(() => dockerfileSteps({ text: `FROM a\nRUN a ${'\\\n x '.repeat(100_000)}\n` })).length, 2)
  assert.is(quickly(() => dockerfileSteps({ text: `FROM a\n${'# comment\n'.repeat(100_000)}` })).length, 1)
  assert.is(
    quickly(() => dockerfileSteps({ text: `FROM a\nENV ${Array.from({ length: 50_000 }, (_, at) => `a${at}=b`).join(' ')}` })).length,
    2,
  )
  const long = quickly(() => refusal(`FROM a\nRUN ${'x'.repeat(10_000_000)}`))
  assert.equal([long.code, long.details?.line, long.details?.column], ['dockerfile_invalid', 2, 1_048_577])
})

test('what never ends is refused at its beginning, quickly', () => {
  for (const text of [
    `FROM a\nRUN <<EOF\n${'x\n'.repeat(100_000)}`,
    `FROM a\nRUN ${'<<E '.repeat(100_000)}\n`,
    `FROM a\nENV A="${'x '.repeat(400_000)}`,
    `FROM a\nENV A=${'${A:-'.repeat(100_000)}`,
    `FROM a\nRUN --mount=${'"'.repeat(500_000)} x`,
    `FROM a\nEXPOSE ${'1-65535 '.repeat(3)}${':'.repeat(500_000)}`,
    `FROM a\nCOPY ${'a '.repeat(400_000)}`,
    `FROM ${'a/'.repeat(400_000)}`,
    `# escape=${' '.repeat(900_000)}x\nFROM a`,
  ]) {
    assert.is(quickly(() => refusal(text)).code, 'dockerfile_invalid', text.slice(0, 40))
  }
})

test.run()
