// `npm start`: on a terminal the REPL, elsewhere the quick start.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root, script, setUp } from './setup.mjs'

await script(async () => {
  const isRepl = (process.stdin.isTTY && process.stdout.isTTY) || process.argv.length > 2
  setUp(isRepl ? {} : { only: ['dependencies', 'native part', 'bundle'] })
  const program = join(root, 'dist', isRepl ? 'repl.js' : 'quickstart.js')
  if (!existsSync(program)) throw new Error(`${program} is missing: remove dist and try again`)
  await import(pathToFileURL(program).href)
  return process.exitCode
})
