// One test file in a process of its own: what it wishes, how it is run, and what its output says.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { removeTree } from './remove-tree.mjs'
import { root } from './setup.mjs'

const defaultTimeout = 180

/** Reads what a test file says about itself in a comment of its first lines. */
export function wishes(path) {
  const head = readFileSync(resolve(root, path), 'utf8').split('\n', 10).join('\n')
  const timeout = /\/\/.*\btest: timeout (\d+)/.exec(head)
  return { path, alone: /\/\/.*\btest: alone\b/.test(head), seconds: timeout ? Number(timeout[1]) : defaultTimeout }
}

/** uvu's closing table, and the marks of test/support, as numbers; `unfinished` says what is missing, if something is. */
function count(output, ending) {
  // The last table: what a test prints of another run comes before it.
  const number = (word) => Number([...output.matchAll(new RegExp(`^ {2}${word}: +(\\d+)$`, 'gm'))].at(-1)?.[1] ?? 0)
  const marked = (word) => [...output.matchAll(new RegExp(`^# ${word}: (.*)$`, 'gm'))].map((match) => match[1])
  const total = number('Total')
  const skips = marked('skip')
  const elsewhere = marked('elsewhere')
  const missing = Math.max(0, total - number('Passed') - number('Skipped'))
  const hasTable = /^ {2}Total: +\d+$/m.test(output)
  const unfinished = !hasTable
    ? 'its tests were not run to their end'
    : (marked('unfinished').at(-1) ??
      (ending.ok && missing > 0 ? `${missing} of its ${total} tests did not pass, and it said nothing of it` : ''))
  const hasFailed = !ending.ok || unfinished !== '' || (total === 0 && elsewhere.length === 0)
  const skipped = number('Skipped') + skips.length
  return {
    passed: Math.max(0, number('Passed') - skips.length),
    failed: Math.max(missing, hasFailed ? 1 : 0),
    skipped,
    skips,
    elsewhere,
    unfinished,
  }
}

/** Runs a file with a store of its own under `scratch`; its numbers, its output, and why it failed. */
export function runFile(file, scratch) {
  return new Promise((settle) => {
    const begun = Date.now()
    const store = join(scratch, file.path.replaceAll('/', '_'))
    mkdirSync(store)
    const { FORCE_COLOR: _, ...environment } = process.env
    const child = spawn(process.execPath, ['--import', 'tsx', file.path], {
      cwd: root,
      // A group of its own, so that a file that runs out of time goes with all it started.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...environment,
        // The Node that runs the suite is the one that `node` and npm's scripts find, too.
        PATH: [dirname(process.execPath), environment.PATH].join(delimiter),
        STRAKE_ROOT: environment.STRAKE_ROOT ?? store,
        NO_COLOR: '1',
      },
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
      const { unfinished, ...numbers } = count(text, { ok })
      const ended = timedOut ? `stopped after ${file.seconds} s` : code === 0 ? '' : `ended with ${code ?? signal}`
      const why = [ended, unfinished].filter(Boolean).join('; ')
      settle({ file, text, why, seconds: (Date.now() - begun) / 1000, ...numbers })
    })
  })
}
