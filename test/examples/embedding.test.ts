// test: timeout 180
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { scriptServer } from '../../examples/embedding.ts'
import { containers, image, store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const directory = temporaryDirectory('embedding')
process.env.STRAKE_ROOT = join(directory.path, 'store')

interface Served {
  url: string
  close: () => Promise<void>
}

interface Answer {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly timedOut: boolean
  readonly oomKilled: boolean
}

const test = suite<Served>('embedding', { url: '', close: async () => {} })

test.before(async (context) => {
  const server = scriptServer(await image().from('host').build())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  context.close = () => new Promise((resolve) => server.close(() => resolve()))
})

test.after(async ({ close }) => {
  await close()
  await store.remove()
  directory[Symbol.dispose]()
})

async function post(url: string, script: string): Promise<{ status: number; answer: Answer }> {
  const response = await fetch(url, { method: 'POST', body: script, headers: { connection: 'close' } })
  return { status: response.status, answer: (await response.json()) as Answer }
}

test('a script is run and its exit code, output and errors come back', async ({ url }) => {
  const { status, answer } = await post(url, 'echo $((6 * 7)); echo oops >&2; exit 3')
  assert.is(status, 200)
  assert.equal([answer.exitCode, answer.stdout, answer.stderr], [3, '42\n', 'oops\n'])
})

test('a script sees no network, no other process, nothing that it could write, and is nobody', async ({ url }) => {
  const { answer } = await post(
    url,
    'id -u; grep -c : /proc/net/dev; ls /proc | grep -c "^[0-9]"; touch /x; touch /tmp/x; grep CapEff /proc/self/status',
  )
  const [uid, interfaces, , capabilities] = answer.stdout.trim().split('\n')
  if (process.getuid?.() === 0) assert.is(uid, '65534')
  assert.is(interfaces, '1')
  assert.match(capabilities ?? '', /0{16}$/)
  assert.is(answer.stderr.match(/Read-only file system/g)?.length, 2)
})

test('a script that goes on for ever, or takes all memory, or forks without end, ends alone', async ({ url }) => {
  const endless = await post(url, 'while :; do :; done')
  assert.ok(endless.answer.timedOut)
  const hungry = await post(url, 'x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done')
  assert.is.not(hungry.answer.exitCode, 0)
  const forking = await post(url, 'f() { f | f & }; f; sleep 1; echo "still here"')
  assert.is(forking.status, 200)
  assert.equal((await post(url, 'echo fine')).answer.stdout, 'fine\n')
  assert.is(containers.list().length, 0)
})

test('too long a script, too much output and other methods are refused', async ({ url }) => {
  assert.is((await post(url, `# ${'x'.repeat(100_000)}`)).status, 413)
  assert.is((await post(url, 'yes')).status, 413)
  assert.is((await fetch(url)).status, 405)
})

test('requests side by side do not see each other', async ({ url }) => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, index) => post(url, `sleep 0.1; echo ${index}; ls /proc | grep -c '^[0-9]'`)),
  )
  const counts = answers.map(({ answer }) => answer.stdout.trim().split('\n'))
  const ends = answers.map(({ answer: { exitCode, stderr } }) => JSON.stringify({ exitCode, stderr })).join('\n')
  assert.equal(
    counts.map(([index]) => index),
    ['0', '1', '2', '3', '4', '5', '6', '7'],
    ends,
  )
  assert.ok(
    counts.every(([, count]) => Number(count) < 8),
    JSON.stringify(counts),
  )
})

test.run()
