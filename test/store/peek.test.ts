import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { walkedLayer } from '../../lib/images/walked.ts'
import { peek } from '../../lib/store/index.ts'
import { test } from '../support/uvu.ts'

async function* bytewise(content: Buffer): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < content.length; at += 1) yield content.subarray(at, at + 1)
}

async function all(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}

test('what was looked at is in the stream still, whatever the pieces', async () => {
  for (const [wanted, isWhole] of [
    [0, false],
    [3, false],
    [10, true],
  ] as const) {
    const { held, isWhole: whole, rest } = await peek(bytewise(Buffer.from('abcde')), wanted)
    assert.equal([Buffer.concat(held).length, whole], [Math.min(wanted, 5), isWhole])
    assert.is((await all(rest)).toString(), 'abcde')
  }
})

test('a compressed layer that comes byte by byte is known as one', async () => {
  const layer = gzipSync(Buffer.alloc(100, 'x'))
  assert.ok((await all(walkedLayer(bytewise(layer), undefined))).equals(layer))
})

test('a stream that is not read to its end is let go of', async () => {
  let isLeft = false
  async function* endless(): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (;;) yield Buffer.from('x')
    } finally {
      isLeft = true
    }
  }
  const { rest } = await peek(endless(), 3)
  for await (const _ of rest) break
  assert.ok(isLeft)
})

test.run()
