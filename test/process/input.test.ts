// What a process reads, over a pipe whose other end this test holds.
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { Input } from '../../lib/process/index.ts'
import { binding, closeFd } from '../../native/binding.ts'
import { assertKeepsNoFds } from '../support/fds.ts'
import { test } from '../support/uvu.ts'

const native = binding()

/** An input, and the end that a process would read; `attach` gives it its pipe. */
function pair(): { input: Input; readEnd: number; attach(): void } {
  const [readEnd, writeEnd] = native.pipe(1)
  const input = new Input()
  return { input, readEnd, attach: () => input.attach(writeEnd) }
}

/** Reads to the end of file, a piece now and then; closes its end. */
async function readAll(fd: number, size = 65_536, pause = 0): Promise<Buffer> {
  const pieces: Buffer[] = []
  for (;;) {
    const piece = Buffer.alloc(size)
    // The reading end blocks, as a process's does: it is asked for what is there, or when the writer has closed.
    const count = await readable(fd).then(() => native.read(fd, piece))
    if (count <= 0) break
    pieces.push(piece.subarray(0, count))
    if (pause > 0) await sleep(pause)
  }
  closeFd(fd)
  return Buffer.concat(pieces)
}

function readable(fd: number): Promise<void> {
  return new Promise((resolve) => {
    const watcher = native.watch(fd, 1, () => {
      native.unwatch(watcher)
      resolve()
    })
  })
}

test('a text, bytes and a stream are sent whole, and then the end of file', async () => {
  const bytes = Buffer.from([0, 255, 10, 13])
  for (const [source, wanted] of [
    ['grün', Buffer.from('grün')],
    ['', Buffer.alloc(0)],
    [bytes, bytes],
    [Uint8Array.from(bytes), bytes],
    [Readable.from([Buffer.from('one '), Buffer.from('two')]), Buffer.from('one two')],
    [Readable.from([]), Buffer.alloc(0)],
  ] as const) {
    const { input, readEnd, attach } = pair()
    input.feed(source)
    attach()
    assert.ok((await readAll(readEnd)).equals(wanted), `${String(source)}`)
  }
})

test('fed before its pipe is there, or after: the same arrives', async () => {
  for (const isEarly of [true, false]) {
    const { input, readEnd, attach } = pair()
    if (!isEarly) attach()
    input.feed('words')
    await sleep(5)
    if (isEarly) attach()
    assert.is((await readAll(readEnd)).toString(), 'words')
  }
})

test('more than a pipe holds waits for its reader: nothing is lost, and write() says when to stop', async () => {
  const { input, readEnd, attach } = pair()
  attach()
  const size = 4_000_000
  assert.is(input.stream.write(Buffer.alloc(size, 'a')), false)
  let isDone = false
  input.stream.end(() => {
    isDone = true
  })
  await sleep(50)
  assert.is(isDone, false, 'it waits')
  const all = await readAll(readEnd, 1_000_000, 1)
  assert.is(all.length, size)
  assert.ok(all.every((byte) => byte === 97))
  await sleep(10)
  assert.is(isDone, true)
})

test('a source that is piped is asked for no more than is read', async () => {
  const { input, readEnd, attach } = pair()
  attach()
  let made = 0
  const source = new Readable({
    read() {
      made += 1
      this.push(made <= 200 ? Buffer.alloc(65_536, 'b') : null)
    },
  })
  input.feed(source)
  await sleep(50)
  assert.ok(made < 60, `${made} blocks were asked for, and none was read`)
  assert.is((await readAll(readEnd)).length, 200 * 65_536)
})

test('a character that is split between two writes arrives whole', async () => {
  const { input, readEnd, attach } = pair()
  attach()
  const bytes = Buffer.from('€𝄞')
  for (const byte of bytes) input.stream.write(Uint8Array.of(byte))
  input.stream.end()
  assert.is((await readAll(readEnd, 3)).toString(), '€𝄞')
})

test('text has the encoding that write() is told', async () => {
  const { input, readEnd, attach } = pair()
  attach()
  input.stream.write('ff00', 'hex')
  input.stream.end('ß', 'latin1')
  assert.equal([...(await readAll(readEnd))], [0xff, 0, 0xdf])
})

test('a reader that has gone: who writes hears of EPIPE, who does not listen is not stopped by it', async () => {
  const { input, readEnd, attach } = pair()
  attach()
  closeFd(readEnd)
  const failure = await new Promise<unknown>((resolve) => input.stream.write('nobody reads this', resolve))
  assert.is((failure as NodeJS.ErrnoException).code, 'EPIPE')
  assert.is(input.stream.destroyed, true)
})

test('a write after the process has ended fails, also by a stream that is asked for only then', async () => {
  const { input, readEnd, attach } = pair()
  attach()
  input.finish()
  closeFd(readEnd)
  const failure = await new Promise<unknown>((resolve) => input.stream.write('too late', resolve))
  assert.instance(failure, Error)
})

test('an endless source is let go when nobody reads it any more, and keeps nobody from his turn while it is read', async () => {
  const { input, readEnd, attach } = pair()
  attach()
  const source = new Readable({
    read() {
      this.push(Buffer.alloc(65_536))
    },
  })
  let failure: unknown
  input.feed(source, (error) => {
    failure = error
  })
  await readable(readEnd)
  assert.is(native.read(readEnd, Buffer.alloc(10)), 10)
  closeFd(readEnd)
  await sleep(20)
  assert.is(source.destroyed, true)
  assert.is(failure, undefined)
})

test('a source that fails is told', async () => {
  const { input, readEnd, attach } = pair()
  attach()
  const told = new Promise<Error>((resolve) =>
    input.feed(
      new Readable({
        read() {
          this.destroy(new Error('boom'))
        },
      }),
      resolve,
    ),
  )
  assert.is((await told).message, 'boom')
  assert.is((await readAll(readEnd)).length, 0)
})

test('a reader that goes while a writer waits for it frees the writer', async () => {
  const { input, readEnd, attach } = pair()
  attach()
  const done = new Promise<void>((resolve) => input.stream.write(Buffer.alloc(4_000_000), () => resolve()))
  await sleep(20)
  closeFd(readEnd)
  await done
  input.stream.destroy()
})

test('finish() frees a writer that waits, with a pipe and without', async () => {
  for (const hasPipe of [true, false]) {
    const { input, readEnd, attach } = pair()
    if (hasPipe) attach()
    const { stream } = input
    stream.on('error', () => undefined)
    const closed = new Promise<void>((resolve) => stream.once('close', resolve))
    stream.write(Buffer.alloc(4_000_000))
    await sleep(10)
    input.finish()
    await closed
    assert.is(stream.destroyed, true)
    if (!hasPipe) attach()
    await sleep(5)
    closeFd(readEnd)
    input.finish()
  }
})

test('a stream that is ended or destroyed before its pipe is there gives the reader the end of file at once', async () => {
  for (const close of ['end', 'destroy'] as const) {
    const { input, readEnd, attach } = pair()
    input.stream[close]()
    await sleep(5)
    attach()
    assert.is((await readAll(readEnd)).length, 0, close)
  }
})

test('a source that fails ends the input, and throws nowhere', async () => {
  const { input, readEnd, attach } = pair()
  attach()
  let count = 0
  input.feed(
    new Readable({
      read() {
        count += 1
        if (count === 1) this.push('begun')
        else this.destroy(new Error('the source broke'))
      },
    }),
  )
  assert.ok('begun'.startsWith((await readAll(readEnd)).toString()))
})

test('whether input is wanted is known by the use of the stream', () => {
  const { input, readEnd, attach } = pair()
  assert.is(input.isWanted, false)
  assert.is(input.stream, input.stream)
  assert.is(input.isWanted, true)
  attach()
  input.finish()
  closeFd(readEnd)
})

test('however it ends, no file descriptor is left', () =>
  assertKeepsNoFds(async () => {
    for (const end of ['end', 'destroy', 'finish'] as const) {
      const { input, readEnd, attach } = pair()
      attach()
      input.stream.on('error', () => undefined)
      input.stream.write('x')
      if (end === 'finish') input.finish()
      else input.stream[end]()
      await readAll(readEnd)
    }
  }))

test.run()
