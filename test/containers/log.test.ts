import * as assert from 'uvu/assert'
import { Log, type LogOptions } from '../../lib/containers/log.ts'
import { test } from '../support/uvu.ts'

async function textOf(log: Log, options: LogOptions = {}): Promise<string[]> {
  const lines: string[] = []
  for await (const { stream, text } of log.read(options)) lines.push(`${stream === 'stdout' ? 'o' : 'e'}:${text}`)
  return lines
}

function logOf(...writes: [stream: 'stdout' | 'stderr', text: string | Buffer][]): Log {
  const log = new Log()
  for (const [stream, text] of writes) log.write(stream, Buffer.from(text))
  return log
}

test('what was written comes as lines, of each output by itself, whatever the pieces', async () => {
  const euro = Buffer.from('€\n')
  const log = logOf(
    ['stdout', 'one\ntw'],
    ['stderr', 'oops\r\n'],
    ['stdout', 'o\n\n'],
    ['stdout', euro.subarray(0, 2)],
    ['stdout', euro.subarray(2)],
  )
  assert.equal(await textOf(log), ['o:one', 'e:oops', 'o:two', 'o:', 'o:€'])
  assert.equal(await textOf(log, { stream: 'stderr' }), ['e:oops'])
})

test('a line that is not finished is told at the end', async () => {
  const log = logOf(['stdout', 'a\nb'])
  assert.equal(await textOf(log), ['o:a', 'o:b'])
  log.write('stdout', Buffer.from('c\n'))
  assert.equal(await textOf(log), ['o:a', 'o:bc'])
})

test('tail gives the last lines, and reading goes on after them', async () => {
  const log = logOf(['stdout', 'a\nb\nc\nd'], ['stderr', 'x\n'])
  assert.equal(await textOf(log, { tail: 2 }), ['e:x', 'o:d'])
  assert.equal(await textOf(log, { tail: 1, stream: 'stdout' }), ['o:d'])
  assert.equal(await textOf(log, { tail: 0 }), [])
  const reading = textOf(log, { tail: 1, follow: true })
  await new Promise(setImmediate)
  log.write('stdout', Buffer.from('e\n'))
  log.end()
  assert.equal(await reading, ['e:x', 'o:de'])
})

test('who follows gets each line once, until the end or the signal', async () => {
  const log = logOf(['stdout', 'a\n'])
  const controller = new AbortController()
  const readings = [textOf(log, { follow: true }), textOf(log, { follow: true, signal: controller.signal })]
  for (let index = 0; index < 50; index += 1) {
    log.write('stdout', Buffer.from(`${index}\n`))
    if (index % 7 === 0) await new Promise(setImmediate)
  }
  await new Promise(setImmediate)
  controller.abort()
  const expected = ['o:a', ...Array.from({ length: 50 }, (_, index) => `o:${index}`)]
  assert.equal(await readings[1], expected)
  log.write('stdout', Buffer.from('last\n'))
  log.end()
  assert.equal(await readings[0], [...expected, 'o:last'])
})

test('a long line comes in pieces', async () => {
  const log = logOf(['stdout', `${'x'.repeat(150_000)}\ny\n`])
  assert.equal(
    (await textOf(log)).map((line) => line.length),
    [65_538, 65_538, 18_930, 3],
  )
})

test('the oldest goes when there is too much, and empty lines and small writes count for what they cost', async () => {
  const log = new Log(100_000)
  for (let index = 0; index < 100_000; index += 1) log.write(index % 2 ? 'stderr' : 'stdout', Buffer.from('\n'))
  const lines = await textOf(log)
  assert.ok(lines.length > 10 && lines.length < 1000, `${lines.length} lines are kept`)
  for (let index = 0; index < 1000; index += 1) log.write('stdout', Buffer.from(`${index} ${'y'.repeat(1000)}\n`))
  const last = await textOf(log)
  assert.ok(last.length > 50 && last.length < 200, `${last.length} lines are kept`)
  assert.is(last.at(-1)?.slice(0, 6), 'o:999 ')
})

test('a flood costs no memory beyond the bound', async () => {
  const log = new Log()
  const chunk = Buffer.from('y\n'.repeat(32_768))
  const before = process.memoryUsage().arrayBuffers
  for (let index = 0; index < 4000; index += 1) log.write('stdout', chunk)
  const grown = process.memoryUsage().arrayBuffers - before
  assert.ok(grown < 64 * 2 ** 20, `${grown} bytes more after 250 MB`)
  assert.ok((await textOf(log, { tail: 3 })).length === 3)
})

test.run()
