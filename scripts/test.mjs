// `npm test`: every test/**/*.test.ts in a process of its own, two at a time. Arguments are parts of paths: `npm test -- test/layers`,
// with `!` before those that are left out.
// With CI=true a file that failed is run once more, with nothing beside it: what it said is shown in any case, and that it took a second try.
// A test file may say, in a comment of its first lines, `test: alone` (nothing runs beside it) and `test: timeout 600` (seconds).
import { mkdirSync, mkdtempSync, readdirSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { providePeers } from './peers.mjs'
import { removeTree } from './remove-tree.mjs'
import { root, script, setUp } from './setup.mjs'
import { runFile, wishes } from './test-file.mjs'

const parallel = Math.min(2, availableParallelism())
/** When more files than these have failed it is not the machine's fault. */
const mostSecondTries = 3

function* testFiles(directory) {
  for (const entry of readdirSync(join(root, directory), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = `${directory}/${entry.name}`
    if (entry.isDirectory()) yield* testFiles(path)
    else if (path.endsWith('.test.ts')) yield path
  }
}

function report(result) {
  const numbers = `${result.passed} passed${result.failed ? `, ${result.failed} failed` : ''}${result.skipped ? `, ${result.skipped} skipped` : ''}`
  const time = `${result.seconds.toFixed(1)} s`
  if (result.failed > 0) {
    console.log(`--- ${result.file.path}: ${numbers} (${time}) ${result.why}\n${result.text.trimEnd()}\n---`)
  } else {
    console.log(`ok  ${result.file.path}  ${numbers} (${time})`)
    for (const reason of result.skips) console.log(`      skipped: ${reason}`)
  }
}

async function runAll(files, scratch) {
  const results = []
  // The long ones first, so that none is left running alone at the end.
  const queue = files.filter((file) => !file.alone).sort((a, b) => b.seconds - a.seconds)
  const worker = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const result = await runFile(file, scratch)
      report(result)
      results.push(result)
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
  for (const file of files.filter((each) => each.alone)) {
    const result = await runFile(file, scratch)
    report(result)
    results.push(result)
  }
  return await secondTries(results, scratch)
}

/** A machine that others use too may keep a test waiting for longer than it allows for: not every time, and not when it runs alone. */
async function secondTries(results, scratch) {
  const failed = results.filter((result) => result.failed > 0)
  if (process.env.CI !== 'true' || failed.length > mostSecondTries) return results
  const again = new Map()
  for (const { file } of failed) {
    const directory = join(scratch, 'again')
    mkdirSync(directory, { recursive: true })
    const result = await runFile(file, directory)
    console.log(`\nA second try of ${file.path}, by itself:`)
    report(result)
    again.set(file.path, { ...result, isSecondTry: result.failed === 0 })
  }
  return results.map((result) => again.get(result.file.path) ?? result)
}

await script(async () => {
  const words = process.argv.slice(2).map((word) => word.replace(/^\.\//, ''))
  const filters = words.filter((word) => !word.startsWith('!'))
  const without = words.filter((word) => word.startsWith('!')).map((word) => word.slice(1))
  const files = [...testFiles('test')]
    .filter((path) => !without.some((part) => path.includes(part)))
    .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
    // The second kernel tries ordinary users itself, and only root prepares it.
    .filter((path) => process.getuid?.() === 0 || !path.startsWith('test/vm/'))
    .map(wishes)
  if (files.length === 0) throw new Error(`no test file has ${filters.join(' or ')} in its path`)
  // Most tests run from the sources; those of the house and of the command look at what is built, too.
  const isBuiltWanted = files.some((file) => /^test\/(house|repl|examples)\//.test(file.path))
  setUp(isBuiltWanted ? {} : { only: ['dependencies', 'native part'] })
  providePeers(files.some((file) => file.path.startsWith('test/vm/')) ? ['test', 'vm'] : ['test'])
  const scratch = mkdtempSync(join(tmpdir(), 'strake-tests-'))
  const results = await runAll(files, scratch).finally(() => removeTree(scratch))
  const sum = (field) => results.reduce((all, result) => all + result[field], 0)
  const elsewhere = results.reduce((all, result) => all + result.elsewhere.length, 0)
  const failures = results.filter((result) => result.failed > 0)
  if (failures.length > 0) console.log(`\nFailed:\n${failures.map((each) => `  ${each.file.path} ${each.why}`).join('\n')}`)
  const unsteady = results.filter((result) => result.isSecondTry)
  if (unsteady.length > 0) console.log(`\nRight only on the second try:\n${unsteady.map(({ file }) => `  ${file.path}`).join('\n')}`)
  if (elsewhere > 0) console.log(`\n${elsewhere} tests are for another kind of user than this one`)
  const slowest = [...results].sort((a, b) => b.seconds - a.seconds).slice(0, 10)
  if (results.length > 20)
    console.log(`\nSlowest: ${slowest.map(({ file, seconds }) => `${file.path} ${seconds.toFixed(0)} s`).join(', ')}`)
  const skipped = sum('skipped')
  const skipsForbidden = process.env.CI === 'true' && skipped > 0
  if (skipsForbidden) console.log('With CI=true a skipped test is a failure')
  console.log(
    `\n${sum('passed')} passed, ${sum('failed') + (skipsForbidden ? skipped : 0)} failed, ${skipsForbidden ? 0 : skipped} skipped`,
  )
  return failures.length > 0 || skipsForbidden ? 1 : 0
})
