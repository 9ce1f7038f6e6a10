// Run on a small disk of its own by full.test.ts: what a user does when there is no room, as JSON on stdout.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { image, StrakeError, store } from '../../lib/index.ts'

async function codeOf(work: () => PromiseLike<unknown>): Promise<string> {
  try {
    await work()
    return 'none'
  } catch (error) {
    return error instanceof StrakeError ? `${error.code}${error.hint ? ' with a hint' : ''}` : String(error)
  }
}

const root = process.env.STRAKE_ROOT ?? ''
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
await store.remove()
process.stdout.write(`${JSON.stringify({ codes, left, problems: verified.problems.length, after })}\n`)
