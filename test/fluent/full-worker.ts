// Run on a small disk of its own by full.test.ts: what a user does when there is no room, as JSON on stdout.
import { execFileSync } from 'node:child_process'
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { image, images, StrakeError, store } from '../../lib/index.ts'

async function codeOf(work: () => PromiseLike<unknown>): Promise<string> {
  try {
    await work()
    return 'none'
  } catch (error) {
    return error instanceof StrakeError ? `${error.code}${error.hint ? ' with a hint' : ''}` : String(error)
  }
}

const root = process.env.STRAKE_ROOT ?? ''
if (process.argv[2] === 'free') {
  await images.untag('other:2')
  await images.remove('other:1')
  const { bytes } = await store.prune({ images: 'all', cache: true })
  process.stdout.write(`${JSON.stringify({ left: (await images.list()).flatMap(({ tags }) => tags), bytes })}\n`)
  process.exit()
}
const big = Buffer.alloc(60_000_000, 1)
const codes: Record<string, string> = {}
const base = await image().from('host').build({ tag: 'base:1' })
codes.copy = await codeOf(() => image().from(base).copy({ big }, '/').build())
codes.run = await codeOf(() => image().from(base).run('head -c 30000000 /dev/urandom > /big').build())
{
  await using container = await base.start({ cmd: ['sleep', '600'] })
  codes.writeFile = await codeOf(() => container.fs.writeFile('/big', big))
}
const left = readdirSync(join(root, 'tmp'))
const verified = await store.verify()
const after = (await base.exec('echo fine')).stdout.trim()
await image('scratch')
  .copy({ other: Buffer.alloc(2_000_000, 2) }, '/')
  .build({ tag: ['other:1', 'other:2'] })
// To the last byte; then another process makes room.
const filler = join(root, '..', 'filler')
for (let piece = 1 << 20; piece > 0; piece >>= 1) {
  try {
    for (;;) writeFileSync(filler, Buffer.alloc(piece, 1), { flag: 'a' })
  } catch {
    // A smaller piece may fit.
  }
}
const isFull = statSync(filler).size > 1_000_000
const argv = ['--import', 'tsx', process.argv[1] ?? '', 'free']
const freed = JSON.parse(execFileSync(process.execPath, argv, { encoding: 'utf8' }).trim().split('\n').at(-1) ?? '')
rmSync(filler)
await store.remove()
process.stdout.write(`${JSON.stringify({ codes, left, problems: verified.problems.length, after, isFull, freed })}\n`)
