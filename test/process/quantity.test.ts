import assert from 'node:assert/strict'
import { parseBytes, parseDuration, parseTimeout } from '../../lib/process/quantity.ts'
import { test } from '../support/uvu.ts'

const invalid = { code: 'invalid_argument' }

test('sizes are read as Docker reads them', () => {
  const sizes: readonly (readonly [string | number, number])[] = [
    [0, 0],
    [4096, 4096],
    ['1', 1],
    ['256m', 268435456],
    ['1K', 1024],
    ['2 GiB', 2147483648],
    ['1.5g', 1610612736],
    ['10b', 10],
    ['1kb', 1024],
    ['3T', 3 * 1024 ** 4],
    ['1p', 1024 ** 5],
    [' 64M ', 67108864],
    ['0.5', 0],
  ]
  for (const [text, bytes] of sizes) assert.equal(parseBytes(text), bytes, String(text))
})

test('what is no size is invalid_argument, and named', () => {
  const wrong = [
    '',
    'm',
    '-1m',
    '1e3',
    '1,5g',
    '1x',
    '1mm',
    '0x10',
    'Infinity',
    '9p9',
    '1'.repeat(1_000_000),
    -1,
    1.5,
    NaN,
    Infinity,
    2 ** 53,
  ]
  for (const value of wrong)
    assert.throws(
      () => parseBytes(value, 'memory'),
      (error: Error) => error.message.length < 300 && error.message.startsWith('memory: '),
    )
  for (const value of [null, undefined, {}, [], true]) assert.throws(() => parseBytes(value as unknown as string), invalid)
})

test('durations are milliseconds, or parts with units', () => {
  const durations: readonly (readonly [string | number, number])[] = [
    [0, 0],
    [1500, 1500],
    ['0', 0],
    ['5s', 5000],
    ['1m30s', 90_000],
    ['100ms', 100],
    ['1.5h', 5_400_000],
    ['1h2m3s4ms', 3_723_004],
    ['250us', 0.25],
    ['1µs', 0.001],
    ['1000000ns', 1],
  ]
  for (const [text, expected] of durations) assert.ok(Math.abs(parseDuration(text) - expected) < 1e-9, String(text))
})

test('what is no duration is invalid_argument', () => {
  for (const value of ['', '5', '-5s', '5 s', 's', '1d', '1.s', `${'1s'.repeat(1_000_000)}`, -1, NaN, -Infinity])
    assert.throws(() => parseDuration(value), invalid)
  for (const value of [null, undefined, {}, []]) assert.throws(() => parseDuration(value as unknown as string), invalid)
})

test('no timeout is none, 0 and Infinity', () => {
  for (const none of [undefined, 0, '0', '0s', Infinity]) assert.equal(parseTimeout(none), undefined)
  assert.equal(parseTimeout('2s'), 2000)
  assert.equal(parseTimeout(2 ** 40), 2 ** 40)
  assert.throws(() => parseTimeout(-1), invalid)
})

test.run()
