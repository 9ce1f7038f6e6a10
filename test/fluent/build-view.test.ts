import * as assert from 'uvu/assert'
import type { BuildEvent } from '../../lib/build/index.ts'
import { BuildView } from '../../lib/fluent/progress/build-view.ts'
import { test } from '../support/uvu.ts'

const total = 3
const start = (index: number, name: string): BuildEvent => ({ type: 'start', index, total, name })
const log = (index: number, name: string, text: string): BuildEvent => ({
  type: 'log',
  index,
  name,
  stream: 'stdout',
  data: Buffer.from(text),
})
const failed = (index: number, name: string, durationMs: number): BuildEvent => ({
  type: 'failed',
  index,
  total,
  name,
  error: new Error(name),
  durationMs,
})

test('of a build that fails the step that failed first stays, with its output and its time, whatever began after it', () => {
  const view = new BuildView(() => {})
  for (const event of [
    start(1, 'RUN one'),
    log(1, 'RUN one', 'why\n'),
    start(2, 'RUN two'),
    log(2, 'RUN two', 'at work\n'),
    failed(1, 'RUN one', 3000),
    failed(2, 'RUN two', 9000),
  ])
    view.tell(event)
  assert.equal(view.failure(true), ['✘ [1/3] RUN one  3.0 s', '  │ why'])
  assert.equal(view.failure(false), ['✘ [1/3] RUN one  3.0 s'])
})

test('the steps that are worked on are seen, each with its output, until they are over', () => {
  const kept: string[] = []
  const view = new BuildView((lines) => kept.push(...lines))
  view.tell(start(1, 'RUN one'))
  view.tell(start(2, 'RUN two'))
  view.tell(log(2, 'RUN two', 'at work\n'))
  view.tell({ type: 'step', index: 1, total, name: 'RUN one', cached: false, durationMs: 1200 })
  assert.equal(kept, ['✔ [1/3] RUN one  1.2 s'])
  const lines = view.lines(80)
  assert.match(lines[0] ?? '', /^▸ \[2\/3\] RUN two {2}\d/)
  assert.equal(lines.slice(1), ['  │ at work'])
})

test.run()
