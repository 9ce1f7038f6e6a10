// What a process writes, over a pipe whose other end this test holds.
import { closeSync, constants, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { Output } from '../../lib/process/index.ts'
import { binding, closeFd } from '../../native/binding.ts'
import { assertKeepsNoFds } from '../support/fds.ts'
import { test } from '../support/uvu.ts'

const native = binding()

/** The writing end, as a process has it but without waiting: `write` says how many bytes were taken, or an error as a negative number. */
class Writer {
  readonly #fd: number
  #isOpen = true

  constructor(blocking: number) {
    this.#fd = openSync(`/proc/self/fd/${blocking}`, constants.O_WRONLY | constants.O_NONBLOCK)
    closeFd(blocking)
  }

  write(bytes: string | Uint8Array): number {
    return native.write(this.#fd, Buffer.from(bytes))
  }

  close(): void {
    if (this.#isOpen) closeSync(this.#fd)
    this.#isOpen = false
  }
}

function pair(limit = 1_000_000, onOverflow = (): void => undefined): { output: Output; writer: Writer; attach(): void } {
  const [readEnd, writeEnd] = native.pipe(0)
  const output = new Output(limit, onOverflow)
  const attach = (): void => {
    output.attach(readEnd)
    output.started()
  }
  return { output, writer: new Writer(writeEnd), attach }
}

// A container's connection keeps the event loop alive while its command runs; here nothing else does.
let alive: NodeJS.Timeout
test.before(() => {
  alive = setInterval(() => undefined, 1000)
})
test.after(() => clearInterval(alive))

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('what nobody asked for is collected, until the last writer has closed', async () => {
  const { output, writer, attach } = pair()
  attach()
  writer.write('one ')
  await sleep(20)
  writer.write('two')
  writer.close()
  await output.ended
  assert.is(output.collected().toString(), 'one two')
  assert.is(output.isTaken, false)
})

test('finish() takes what is in the pipe, and does not wait for others who hold it open', async () => {
  const { output, writer, attach } = pair()
  attach()
  writer.write('last words')
  output.finish()
  await output.ended
  assert.is(output.collected().toString(), 'last words')
  assert.ok(writer.write('x') < 0, 'the pipe is closed')
  writer.close()
  output.finish()
})

test('finish() before there is a pipe ends it; a pipe that comes later is not leaked', async () => {
  const { output, writer, attach } = pair()
  output.finish()
  await output.ended
  attach()
  assert.is(output.collected().length, 0)
  assert.ok(writer.write('x') < 0, 'the pipe is closed')
  writer.close()
})

test('a stream that is asked for late begins with what was collected, and nothing is collected from then on', async () => {
  const { output, writer, attach } = pair()
  attach()
  writer.write('early ')
  await sleep(30)
  const { stream } = output
  assert.is(output.isTaken, true)
  assert.is(output.stream, stream)
  setTimeout(() => {
    writer.write('late')
    writer.close()
  }, 20)
  assert.is(await textOf(stream), 'early late')
  assert.is(output.collected().length, 0)
})

test('a stream that is asked for after the end has all of it', async () => {
  const { output, writer, attach } = pair()
  attach()
  writer.write('all of it')
  writer.close()
  await output.ended
  assert.is(await textOf(output.stream), 'all of it')
})

test('a stream that is asked for before there is a pipe gets what comes', async () => {
  const { output, writer, attach } = pair()
  const text = textOf(output.stream)
  await sleep(5)
  attach()
  writer.write('came')
  writer.close()
  assert.is(await text, 'came')
})

test('a character that is split between two writes arrives whole, collected and as a stream with an encoding', async () => {
  const bytes = Buffer.from('a€𝄞ß')
  for (const isStreamed of [false, true]) {
    const { output, writer, attach } = pair()
    attach()
    const text = isStreamed ? (output.stream.setEncoding('utf8').toArray() as Promise<string[]>) : undefined
    for (const byte of bytes) {
      writer.write(Uint8Array.of(byte))
      await sleep(6)
    }
    writer.close()
    await output.ended
    if (text) {
      const pieces = await text
      assert.ok(pieces.length > 1, 'it came in pieces')
      assert.is(pieces.join(''), 'a€𝄞ß')
    } else assert.is(output.collected().toString(), 'a€𝄞ß')
  }
})

test('a stream that nobody reads leaves the rest in the pipe, and the writer waits; once it is read all arrives', async () => {
  const { output, writer, attach } = pair()
  attach()
  const { stream } = output
  const block = Buffer.alloc(4096, 'x')
  let written = 0
  // Full for a while: what has been taken from the pipe makes room at first.
  for (let refused = 0; refused < 20; await sleep(1)) {
    const count = writer.write(block)
    if (count > 0) written += count
    refused = count > 0 ? 0 : refused + 1
    assert.ok(written < 10_000_000, 'the pipe is never full')
  }
  assert.ok(stream.readableLength <= 4 * 65_536, `${stream.readableLength} bytes are held`)
  const text = textOf(stream)
  await sleep(20)
  writer.close()
  assert.is((await text).length, written)
})

test('after finish() a slow reader still gets all that was in the pipe', async () => {
  const { output, writer, attach } = pair()
  attach()
  const { stream } = output
  let written = 0
  for (let count = 0; count < 48; count += 1) written += Math.max(0, writer.write(Buffer.alloc(4096, 'y')))
  assert.ok(written >= 65_536)
  await sleep(20)
  writer.close()
  output.finish()
  let read = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    read += chunk.length
    await sleep(1)
  }
  assert.is(read, written)
  await output.ended
})

test('a stream that is destroyed closes the pipe: the writer is told, and the end is reported', async () => {
  const { output, writer, attach } = pair()
  attach()
  output.stream.destroy()
  await output.ended
  assert.ok(writer.write('x') < 0)
  writer.close()
  const early = pair()
  early.output.stream.destroy()
  await sleep(5)
  early.attach()
  await early.output.ended
  assert.ok(early.writer.write('x') < 0)
  early.writer.close()
})

test('an error that destroys the stream is the stream’s, and nobody else’s', async () => {
  const { output, writer, attach } = pair()
  attach()
  const failure = new Promise<Error>((resolve) => output.stream.once('error', resolve))
  output.stream.destroy(new Error('enough'))
  assert.is((await failure).message, 'enough')
  await output.ended
  writer.close()
})

test('beyond the limit it is told once, and the pipe is closed', async () => {
  let overflows = 0
  const { output, writer, attach } = pair(10_000, () => {
    overflows += 1
  })
  attach()
  for (let count = 0; count < 5; count += 1) writer.write(Buffer.alloc(4096, 'z'))
  await output.ended
  assert.is(overflows, 1)
  assert.ok(writer.write('x') < 0)
  writer.close()
})

test('exactly the limit is not beyond it', async () => {
  let overflows = 0
  const { output, writer, attach } = pair(4096, () => {
    overflows += 1
  })
  attach()
  writer.write(Buffer.alloc(4096, 'z'))
  writer.close()
  await output.ended
  assert.is(overflows, 0)
  assert.is(output.collected().length, 4096)
})

test('a tap gets every chunk, and nothing is collected', async () => {
  const { output, writer, attach } = pair(10)
  const chunks: string[] = []
  output.tap((chunk) => void chunks.push(chunk.toString()))
  attach()
  writer.write('more than the limit of ten')
  writer.close()
  await output.ended
  assert.is(chunks.join(''), 'more than the limit of ten')
  assert.is(output.collected().length, 0)
})

test('however it ends, no file descriptor is left', () =>
  assertKeepsNoFds(async () => {
    const endings: ((one: ReturnType<typeof pair>) => void)[] = [
      ({ writer }) => writer.close(),
      ({ output }) => output.finish(),
      ({ output }) => void output.stream.destroy(),
      ({ output }) => {
        output.stream.resume()
        output.finish()
      },
    ]
    for (const end of endings) {
      const one = pair()
      one.attach()
      one.writer.write('x')
      end(one)
      await one.output.ended
      one.writer.close()
    }
  }))

test.run()
