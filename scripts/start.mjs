// `npm start`: the quick start, which goes on into the REPL on a terminal; with arguments, the `strake` command.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root, script, setUp } from './setup.mjs'

await script(async () => {
  const isCommand = process.argv.length > 2
  const hasPrompt = process.stdin.isTTY && process.stdout.isTTY
  setUp(isCommand || hasPrompt ? {} : { only: ['dependencies', 'native part', 'bundle'] })
  const program = join(root, 'dist', isCommand ? 'repl.js' : 'quickstart.js')
  if (!existsSync(program)) throw new Error(`${program} is missing: remove dist and try again`)
  await import(pathToFileURL(program).href)
  return process.exitCode
})
