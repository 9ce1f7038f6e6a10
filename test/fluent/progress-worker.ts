// Run by progress.test.ts on a terminal and without one: a push, a build that pulls, and one that fails.
import { join } from 'node:path'
import { image, registry, type StrakeError, store } from '../../lib/index.ts'

const [place = '', onProgress] = process.argv.slice(2) as [string, 'terminal'?]
const options = onProgress === undefined ? {} : { onProgress }
process.env.STRAKE_ROOT = join(place, 'own')
const built = await image('host')
  .copy({ x: Buffer.alloc(2_000_000, 'strake') }, '/')
  .build()
await using served = await registry({ root: join(place, 'served') })
const base = `${served.host}/app:1`
await built.push(base, options)
await store.remove()
await image(base).run(`printf 'one\\n\\033[31mtwo\\033[2J\\n'; sleep 1`).build(options)
const code = await image(base)
  .run('echo why; sleep 1; exit 3')
  .build(options)
  .catch((error: StrakeError) => error.code)
for (const root of ['own', 'served']) {
  process.env.STRAKE_ROOT = join(place, root)
  await store.remove()
}
process.stdout.write(`${code}\n`)
