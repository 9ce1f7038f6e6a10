// test: timeout 180
// Builds of several processes on one store.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

interface Line {
  readonly type: 'start' | 'step' | 'built'
  readonly index?: number
  readonly cached?: boolean
  readonly digest?: string
}

const test = suite('processes')
const worker = fileURLToPath(new URL('process-worker.ts', import.meta.url))
let place: ReturnType<typeof temporaryDirectory>

test.before(() => {
  place = temporaryDirectory('processes')
})
test.after(async () => {
  await store.remove()
  place[Symbol.dispose]()
})
test.before.each(() => {
  process.env.STRAKE_ROOT = join(place.path, `store-${Math.random().toString(36).slice(2)}`)
})

class Builder {
  readonly child: ChildProcess
  readonly lines: Line[] = []
  readonly ended: Promise<unknown>
  readonly #watchers = new Set<() => void>()

  constructor() {
    const child = spawn(process.execPath, ['--import', 'tsx', worker], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.child = child
    this.ended = once(child, 'close')
    createInterface(child.stdout).on('line', (line) => {
      this.lines.push(JSON.parse(line) as Line)
      for (const watch of this.#watchers) watch()
    })
  }

  async until(isIt: (line: Line) => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const watch = (): void => {
        if (this.lines.some(isIt)) resolve()
      }
      this.#watchers.add(watch)
      watch()
    })
  }

  cached(index: number): boolean | undefined {
    return this.lines.find((line) => line.type === 'step' && line.index === index)?.cached
  }

  get digest(): string | undefined {
    return this.lines.find(({ type }) => type === 'built')?.digest
  }
}

const locks = (): string[] => readdirSync(join(process.env.STRAKE_ROOT ?? '', 'locks')).filter((name) => name.startsWith('step-'))

test('of three processes that build the same at once, one carries each step out and the others take its layer', async () => {
  const builders = [new Builder(), new Builder(), new Builder()]
  await Promise.all(builders.map(({ ended }) => ended))
  for (const index of [2, 3, 4]) {
    assert.equal(builders.map((each) => each.cached(index)).sort(), [false, true, true], `step ${index}`)
  }
  assert.is(new Set(builders.map(({ digest }) => digest)).size, 1)
  assert.equal(locks(), [])
})

test('when the one that carries a step out is killed, another does; the steps that were finished are taken from the cache', async () => {
  process.env.STRAKE_TEST_SLOW = '8'
  const first = new Builder()
  await first.until(({ type, index }) => type === 'start' && index === 3)
  const second = new Builder()
  await second.until(({ type, index }) => type === 'start' && index === 3)
  assert.is(first.cached(3), undefined, 'it is at it still')
  first.child.kill('SIGKILL')
  await Promise.all([first.ended, second.ended])
  assert.is(first.cached(2), false)
  assert.equal([second.cached(2), second.cached(3), second.cached(4)], [true, false, false])
  const third = new Builder()
  await third.ended
  assert.equal([third.cached(2), third.cached(3), third.cached(4)], [true, true, true])
  assert.is(third.digest, second.digest)
  assert.equal(locks(), [])
  const { problems } = await store.verify()
  assert.equal(problems, [])
})

test.run()
