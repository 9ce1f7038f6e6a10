// test: timeout 300
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { image, type StrakeError } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const worker = fileURLToPath(new URL('./progress-worker.ts', import.meta.url))

interface Run {
  readonly stdout: string
  readonly stderr: string
}

function withoutTerminal(onProgress: string[], STRAKE_PROGRESS?: string): Run {
  using place = temporaryDirectory('progress')
  const env = { ...process.env, ...(STRAKE_PROGRESS === undefined ? {} : { STRAKE_PROGRESS }) }
  return spawnSync(process.execPath, ['--import', import.meta.resolve('tsx'), worker, place.path, ...onProgress], { encoding: 'utf8', env })
}

/** What comes out of a terminal. */
function onTerminal(onProgress: string[], STRAKE_PROGRESS?: string, size = 'cols 100 rows 30'): string {
  using place = temporaryDirectory('progress')
  const file = join(place.path, 'typescript')
  const words = [process.execPath, '--import', import.meta.resolve('tsx'), worker, place.path, ...onProgress]
  const command = `stty ${size}; ${words.map((word) => `'${word}'`).join(' ')}`
  const env = { ...process.env, TERM: 'xterm', ...(STRAKE_PROGRESS === undefined ? {} : { STRAKE_PROGRESS }) }
  spawnSync('script', ['--quiet', '--flush', '--command', command, file], { env, stdio: ['ignore', 'ignore', 'ignore'] })
  return readFileSync(file, 'utf8')
}

test('without a terminal nothing is written, whoever asks for it', () => {
  const { stdout, stderr } = withoutTerminal(['terminal'], 'terminal')
  assert.equal([stdout, stderr], ['build_failed\n', ''])
})

test('on a terminal: bars of a push and a pull, steps with their output, a failure that stays', () => {
  const text = onTerminal(['terminal'])
  for (const part of [
    /✔ pushed 127\.0\.0\.1:\d+\/app:1 {2}\d layers, /,
    /✔ pulled 127\.0\.0\.1:\d+\/app:1 {2}\d layers, /,
    /✔ \[1\/2\] FROM 127/,
  ])
    assert.match(text, part)
  assert.match(text, /pu(ll|sh)ing +[█░]{24} /)
  assert.match(text, /│ one\r\n/)
  assert.match(text, /│ two\r\n/)
  assert.match(text, /✘ \[2\/2\] RUN echo why; sleep 1; exit 3 {2}1\.\d s\r\n {2}│ why\r\n/)
  assert.not.match(text, /\x1b\[31m|\x1b\[2J/)
  // The cursor is shown again.
  assert.ok(text.lastIndexOf('\x1b[?25h') > text.lastIndexOf('\x1b[?25l'))
})

test('a terminal that does not say its size is one of 80 columns', () => {
  const text = onTerminal(['terminal'], undefined, 'cols 0 rows 0')
  assert.match(text, /pu(ll|sh)ing +[█░]{24} /)
  for (const part of [/✔ pushed 127/, /✔ pulled 127/, /│ two\r\n/, /✘ \[2\/2\] RUN echo why/]) assert.match(text, part)
})

test('on a terminal, $STRAKE_PROGRESS has what takes its time drawn, and leaves the log to who prints the error', () => {
  const text = onTerminal([], 'terminal')
  assert.match(text, /✔ \[2\/2\] RUN printf/)
  assert.match(text, '✘ [2/2] RUN echo why')
  assert.not.match(text.slice(text.indexOf('✘')), '│ why')
})

test('a terminal that nobody asked to be drawn on is left alone', () => {
  assert.not.match(onTerminal([]), /[✔✘▸]/)
})

test('anything else is refused', async () => {
  const error = await image('host')
    .build({ onProgress: 'bars' as 'terminal' })
    .catch((each: StrakeError) => each)
  assert.is((error as StrakeError).code, 'invalid_argument')
})

test.run()
