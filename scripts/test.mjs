// `npm test`: every test/**/*.test.ts in a process of its own, two at a time. Arguments are parts of paths: `npm test -- test/layers`.
// A test file may say, in a comment of its first lines, `test: alone` (nothing runs beside it) and `test: timeout 600` (seconds).
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { providePeers } from './peers.mjs'
import { removeTree } from './remove-tree.mjs'
import { root, script, setUp } from './setup.mjs'

const defaultTimeout = 180
const parallel = Math.min(2, availableParallelism())

function* testFiles(directory) {
  for (const entry of readdirSync(join(root, directory), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = `${directory}/${entry.name}`
    if (entry.isDirectory()) yield* testFiles(path)
    else if (path.endsWith('.test.ts')) yield path
  }
}

function wishes(path) {
  const head = readFileSync(join(root, path), 'utf8').split('\n', 10).join('\n')
  const timeout = /\/\/.*\btest: timeout (\d+)/.exec(head)
  return { path, alone: /\/\/.*\btest: alone\b/.test(head), seconds: timeout ? Number(timeout[1]) : defaultTimeout }
}

/** uvu's closing table, and the marks of test/support/skip.ts, as numbers. */
function count(output, ending) {
  const number = (word) => Number(new RegExp(`^ {2}${word}: +(\\d+)$`, 'm').exec(output)?.[1] ?? 0)
  const marked = (word) => [...output.matchAll(new RegExp(`^# ${word}: (.*)$`, 'gm'))].map((match) => match[1])
  const total = number('Total')
  const skips = marked('skip')
  const elsewhere = marked('elsewhere')
  const failed = Math.max(total - number('Passed') - number('Skipped'), ending.ok && (total > 0 || elsewhere.length > 0) ? 0 : 1)
  const skipped = number('Skipped') + skips.length
  return { passed: Math.max(0, number('Passed') - skips.length), failed, skipped, skips, elsewhere }
}

function runFile(file, scratch) {
  return new Promise((settle) => {
    const begun = Date.now()
    const store = join(scratch, file.path.replaceAll('/', '_'))
    mkdirSync(store)
    const child = spawn(process.execPath, ['--import', 'tsx', file.path], {
      cwd: root,
      // A group of its own, so that a file that runs out of time goes with all it started.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, STRAKE_ROOT: process.env.STRAKE_ROOT ?? store, FORCE_COLOR: '0', NO_COLOR: '1' },
    })
    const output = []
    let timedOut = false
    child.stdout.on('data', (chunk) => output.push(chunk))
    child.stderr.on('data', (chunk) => output.push(chunk))
    const kill = () => {
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch (error) {
        if (error.code !== 'ESRCH') throw error
      }
    }
    const timer = setTimeout(() => {
      timedOut = true
      kill()
      // Something that left the group may still hold the pipes.
      setTimeout(() => child.stdout.destroy() && child.stderr.destroy(), 2000).unref()
    }, file.seconds * 1000)
    child.on('error', (error) => output.push(Buffer.from(`${error.message}\n`)))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      kill()
      let left = ''
      try {
        removeTree(store)
      } catch (error) {
        left = `the store of this file could not be removed: ${error.message}\n`
      }
      const ok = code === 0 && !timedOut && left === ''
      const text = Buffer.concat(output).toString() + left
      const why = timedOut ? `stopped after ${file.seconds} s` : code === 0 ? '' : `ended with ${code ?? signal}`
      settle({ file, text, why, seconds: (Date.now() - begun) / 1000, ...count(text, { ok }) })
    })
  })
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
  const queue = files.filter((file) => !file.alone)
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
  return results
}

await script(async () => {
  const filters = process.argv.slice(2).map((word) => word.replace(/^\.\//, ''))
  const files = [...testFiles('test')].filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter))).map(wishes)
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
  if (elsewhere > 0) console.log(`\n${elsewhere} tests are for another kind of user than this one`)
  const skipped = sum('skipped')
  const skipsForbidden = process.env.CI === 'true' && skipped > 0
  if (skipsForbidden) console.log('With CI=true a skipped test is a failure')
  console.log(
    `\n${sum('passed')} passed, ${sum('failed') + (skipsForbidden ? skipped : 0)} failed, ${skipsForbidden ? 0 : skipped} skipped`,
  )
  return failures.length > 0 || skipsForbidden ? 1 : 0
})
