// How the content of files gets to the agent: through memory that both see.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { StrakeError } from '../../lib/errors/index.ts'
import { unpackLayer } from '../../lib/layers/index.ts'
import { Ring } from '../../lib/layers/ring.ts'
import { GrowingBlobFile } from '../../lib/store/blob-file.ts'
import { type BlobFile, digestOf, toDigest } from '../../lib/store/index.ts'
import { flags, type Op } from '../../lib/sys/index.ts'
import type { Agent } from '../../lib/zygote/index.ts'
import { assertKeepsNoFds } from '../support/fds.ts'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'
import { dir, file, raw, tar } from './tar-maker.ts'
import { type Workshop, workshop } from './workshop.ts'

const test = suite('the ring')
const scratch = temporaryDirectory('ring')
let shop: Workshop

test.before(async () => {
  shop = await workshop()
})
test.after(async () => {
  await shop[Symbol.asyncDispose]()
  scratch[Symbol.dispose]()
})

/** Bytes that look random and are the same each time; every other 4 KiB is one that compresses. */
function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length, 'strake ')
  let state = seed
  for (let at = 0; at + 4 <= length; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    if ((at >> 12) % 2 === 0) bytes.writeUInt32LE(state, at)
  }
  return bytes
}

const mebi = 1024 * 1024
const contents: Readonly<Record<string, Buffer>> = {
  'beyond-the-ring': noise(11 * mebi + 17, 1),
  empty: Buffer.alloc(0),
  'a-segment': noise(2 * mebi, 2),
  'across-segments': noise(3 * mebi + 511, 3),
  ...Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`small-${index}`, noise((index * 37) % 9000, index + 10)])),
}
const layer = tar(dir('d'), ...Object.entries(contents).map(([name, data]) => raw({ name: `d/${name}`, data })), file('after', 'all'))

async function contentOf(agent: Agent, path: string): Promise<Buffer> {
  const { fds } = await agent.run([
    { op: 'open', path, flags: flags.O.O_RDONLY, out: 'f' },
    { op: 'sendFd', fd: 'f', name: 'f' },
  ])
  try {
    return readFileSync(fds.f as number)
  } finally {
    closeSync(fds.f as number)
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Each content comes out as it went in. */
async function assertContents(agent: Agent): Promise<void> {
  for (const [name, data] of Object.entries(contents)) assert.is(sha256(await contentOf(agent, `/d/${name}`)), sha256(data), name)
  assert.is(String(await contentOf(agent, '/after')), 'all')
}

function fileWith(bytes: Uint8Array): string {
  const path = join(scratch.path, `layer-${Math.random().toString(36).slice(2)}`)
  writeFileSync(path, bytes)
  return path
}

function wholeFile(bytes: Uint8Array): BlobFile {
  const growing = new GrowingBlobFile(fileWith(bytes))
  growing.grow(bytes.length)
  growing.end('')
  return growing
}

const zstd = has('zstd') ? (input: Uint8Array): Buffer => execFileSync('zstd', ['-q', '-c'], { input, maxBuffer: 1 << 28 }) : undefined
const members = Buffer.concat([gzipSync(layer.subarray(0, 5_000_001)), gzipSync(layer.subarray(5_000_001))])
const packed: Readonly<Record<string, Uint8Array | undefined>> = {
  plain: layer,
  gzip: gzipSync(layer),
  'gzip of two members': members,
  zstd: zstd?.(layer),
  'zstd of two frames': zstd && Buffer.concat([zstd(layer.subarray(0, 5_000_001)), zstd(layer.subarray(5_000_001))]),
}

for (const [name, bytes] of Object.entries(packed)) {
  test(`files of any size go through it byte for byte: ${name}`, async () => {
    if (bytes === undefined) {
      skip('zstd is not installed')
      return
    }
    for (const source of [wholeFile(bytes), [bytes]]) {
      await using agent = await shop.scratch()
      const unpacked = await unpackLayer(source, agent, { ownership: shop.ownership })
      assert.is(unpacked.diffId, digestOf(layer))
      assert.is(unpacked.bytes, layer.length)
      await assertContents(agent)
    }
  })
}

test('a sparse file has its data where it belongs, wherever the ring ends', async () => {
  const data = noise(5 * mebi, 4)
  const map = `3\n1048576\n2097152\n7340032\n3145727\n20971520\n1\n`
  const body = Buffer.concat([Buffer.concat([Buffer.from(map)], 512), data])
  const sparse = raw({
    name: 'sparse',
    data: body,
    pax: [
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.realsize', String(30 * mebi)],
      ['GNU.sparse.name', 'sparse'],
    ],
  })
  await using agent = await shop.scratch()
  await unpackLayer(wholeFile(tar(sparse)), agent, { ownership: shop.ownership })
  const expected = Buffer.alloc(30 * mebi)
  data.copy(expected, 1048576, 0, 2097152)
  data.copy(expected, 7340032, 2097152, 2097152 + 3145727)
  data.copy(expected, 20971520, 2097152 + 3145727)
  assert.is(sha256(await contentOf(agent, '/sparse')), sha256(expected))
})

test('the same name again and again: the last one is there, under no other', async () => {
  const entries = Array.from({ length: 50 }, (_, index) => raw({ name: 'same', data: noise(100_000 + index, index) }))
  await using agent = await shop.scratch()
  await unpackLayer(wholeFile(tar(...entries)), agent, { ownership: shop.ownership })
  assert.is(sha256(await contentOf(agent, '/same')), sha256(noise(100_049, 49)))
})

async function errnoOf(agent: Agent, ops: readonly Op[]): Promise<string> {
  const error = await agent.run(ops).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.instance(error, StrakeError)
  return String((error as StrakeError).details?.errno)
}

const put = {
  op: 'put',
  path: '/f',
  begins: 1,
  ends: 1,
  at: 0,
  offset: 0,
  length: 1,
  size: 1,
  mode: 0o644,
  uid: 0xffff_ffff,
  gid: 0xffff_ffff,
  mtimeSec: 0,
  mtimeNsec: 0,
} as const

test('an agent reads nothing outside the ring, whatever it is told', async () => {
  await using agent = await shop.scratch()
  assert.is(await errnoOf(agent, [put]), 'EFAULT')
  const ring = await Ring.shared(agent)
  try {
    const end = ring.memory.length
    ring.memory.write('last', end - 4)
    for (const [offset, length] of [
      [end - 4, 5],
      [end, 1],
      [end + 1, 0xffff_ffff],
      [2 ** 52, 1],
      [0, end + 1],
      [1, 0xffff_ffff],
    ] as const)
      assert.is(await errnoOf(agent, [{ ...put, offset, length }]), 'EFAULT', `${offset}+${length}`)
    await agent.run([{ ...put, offset: end - 4, length: 4 }])
    assert.is(String(await contentOf(agent, '/f')), 'last')
    assert.is(await errnoOf(agent, [{ ...put, begins: 0 }]), 'EBADF')
  } finally {
    ring.release()
  }
})

test('no more is mapped than there is', async () => {
  await using agent = await shop.scratch()
  const path = fileWith(Buffer.alloc(5000))
  const fd = openSync(path, 'r')
  try {
    for (const length of [0, 5001, 2 ** 50]) {
      const error = await agent.run([{ op: 'mapRing', fd: 'ring', length }], { ring: fd }).catch((reason: unknown) => reason)
      assert.is((error as StrakeError).code, 'kernel_refused', String(length))
    }
  } finally {
    closeSync(fd)
  }
})

function mappedRings(): number {
  return readFileSync('/proc/self/maps', 'latin1').split('strake-ring').length - 1
}

async function assertUnmapped(): Promise<void> {
  for (let tries = 0; tries < 300 && mappedRings() > 0; tries += 1) await sleep(10)
  assert.is(mappedRings(), 0)
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'none',
    (error: unknown) => (error instanceof StrakeError ? error.code : String(error)),
  )
}

test('an agent that dies in the middle of a layer ends the unpacking, and nothing of it is left', async () => {
  await assertKeepsNoFds(async () => {
    await using agent = await shop.scratch()
    async function* source(): AsyncGenerator<Buffer> {
      yield layer.subarray(0, 4 * mebi)
      process.kill(agent.pid, 'SIGKILL')
      await sleep(100)
      yield layer.subarray(4 * mebi)
    }
    assert.is(await codeOf(unpackLayer(source(), agent, { ownership: shop.ownership })), 'zygote_lost')
    await assertUnmapped()
  }, 3)
})

test('an abort ends the wait for a layer that does not come, and nothing of it is left', async () => {
  await assertKeepsNoFds(async () => {
    await using agent = await shop.scratch()
    const growing = new GrowingBlobFile(fileWith(gzipSync(layer).subarray(0, 3 * mebi)))
    growing.grow(3 * mebi)
    const control = new AbortController()
    const unpacking = codeOf(unpackLayer(growing, agent, { ownership: shop.ownership, signal: control.signal }))
    await sleep(50)
    control.abort()
    assert.is(await unpacking, 'aborted')
    await assertUnmapped()
  }, 3)
})

test('a layer is unpacked as it comes, and is done when all of it is there', async () => {
  const bytes = gzipSync(layer)
  const path = fileWith(Buffer.alloc(0))
  const fd = openSync(path, 'a')
  const growing = new GrowingBlobFile(path)
  await using agent = await shop.scratch()
  let isDone = false
  const unpacking = unpackLayer(growing, agent, { ownership: shop.ownership }).then((unpacked) => {
    isDone = true
    return unpacked
  })
  for (let at = 0; at < bytes.length; at += 700_001) {
    const piece = bytes.subarray(at, at + 700_001)
    writeSync(fd, piece)
    growing.grow(piece.length)
    await sleep(2)
  }
  closeSync(fd)
  await sleep(30)
  assert.is(isDone, false)
  growing.end(path)
  assert.is((await unpacking).diffId, digestOf(layer))
  await assertContents(agent)
})

async function unpackArriving(bytes: Uint8Array, diffId: string, arrive: (file: GrowingBlobFile) => void): Promise<string> {
  const growing = new GrowingBlobFile(fileWith(bytes))
  growing.grow(bytes.length)
  const source = { digest: digestOf(bytes), diffId: toDigest('sha256', diffId) }
  const ensuring = shop.snapshots.ensure([source], shop.agent, { ownership: shop.ownership, ready: () => Promise.resolve(growing) })
  setTimeout(() => arrive(growing), 30)
  return await codeOf(ensuring)
}

test('what is wrong with a layer on its way is told as what was wrong with its transfer, where that is so', async () => {
  const broken = Buffer.from(layer.subarray(0, 100_000))
  broken.fill(0x7f, 700, 800)
  const before = readdirSync(join(shop.store.root, 'snapshots')).length
  const failure = new StrakeError('digest_mismatch', 'not what was asked for')
  assert.is(await unpackArriving(broken, sha256(broken), (growing) => growing.fail(failure)), 'digest_mismatch')
  assert.is(await unpackArriving(broken, sha256(broken), (growing) => growing.end('')), 'layer_invalid')
  assert.is(readdirSync(join(shop.store.root, 'snapshots')).length, before)
})

test('two that unpack a layer on its way both have it, and it is there once', async () => {
  const bytes = tar(dir('d', 0o500), file('d/f', 'twice'))
  const before = readdirSync(join(shop.store.root, 'snapshots')).length
  const codes = await Promise.all([1, 2].map(() => unpackArriving(bytes, sha256(bytes), (growing) => growing.end(''))))
  assert.equal(codes, ['none', 'none'])
  assert.is(readdirSync(join(shop.store.root, 'snapshots')).length, before + 1)
})

test.run()
