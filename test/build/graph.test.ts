import * as assert from 'uvu/assert'
import { type BuildEvent, type BuildOptions, outlineOf, type Step } from '../../lib/build/index.ts'
import { onAbort, StrakeError } from '../../lib/errors/index.ts'
import { ImageBuilder, image } from '../../lib/fluent/image-builder.ts'
import { test } from '../support/uvu.ts'
import { withFakeBench } from './fake-bench.ts'
import type { FakeCommand } from './fake-runtime.ts'

async function failure(work: Promise<unknown>): Promise<StrakeError> {
  try {
    await work
  } catch (error) {
    if (error instanceof StrakeError) return error
    throw error
  }
  throw new Error('it did not fail')
}

/** Lets nobody on before so many have come. */
function meeting(count: number): () => Promise<void> {
  let arrived = 0
  let open: () => void = () => {}
  const all = new Promise<void>((resolve) => {
    open = resolve
  })
  return async () => {
    arrived += 1
    if (arrived === count) open()
    const tooLate = new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`only ${arrived} of ${count} came`)), 10_000).unref()
    })
    await Promise.race([all, tooLate])
  }
}

const scratch = image('scratch')
const branches = (count: number): (typeof scratch)[] => Array.from({ length: count }, (_, index) => scratch.run([`branch-${index}`]))
const joined = (parts: readonly (typeof scratch)[]): typeof scratch =>
  parts.reduce((app, from, index) => app.copy('/', `/part-${index}/`, { from }), scratch)

test('independent branches are carried out at once', async () => {
  const meet = meeting(3)
  await withFakeBench(
    async () => {
      await meet()
      return {}
    },
    async ({ build, ran }) => {
      await build(joined(branches(3)), { parallel: 3 })
      assert.equal(ran(), ['branch-0', 'branch-1', 'branch-2'])
    },
  )
})

test('no more of them than `parallel` says', async () => {
  let [running, most] = [0, 0]
  const behave: FakeCommand = async () => {
    running += 1
    most = Math.max(most, running)
    await new Promise((resolve) => setTimeout(resolve, 20))
    running -= 1
    return {}
  }
  for (const parallel of [1, 2]) {
    most = 0
    await withFakeBench(behave, async ({ build, ran }) => {
      await build(joined(branches(5)), { parallel })
      assert.is(ran().length, 5)
      assert.is(most, parallel)
    })
  }
})

test('a step that several branches begin with is carried out once: the same value, or an equal one', () =>
  withFakeBench(
    () => ({}),
    async ({ build, ran }) => {
      const base = scratch.run(['base'])
      const again = image('scratch').run(['base'])
      await build(joined([base.run(['one']), base.run(['two']), again.run(['three'])]), { parallel: 4 })
      assert.equal(ran(), ['base', 'one', 'three', 'two'])
    },
  ))

test('without a cache, too, equal steps of one build are carried out once, and those of the next one anew', () =>
  withFakeBench(
    () => ({}),
    async ({ build, ran }) => {
      const app = joined([scratch.run(['same']), image('scratch').run(['same'])])
      await build(app, { noCache: true, parallel: 4 })
      assert.equal(ran(), ['same'])
      await build(app, { noCache: true, parallel: 4 })
      assert.equal(ran(), ['same', 'same'])
    },
  ))

test('builds at the same time carry an equal step out once; the others wait for it', async () => {
  const slow: FakeCommand = async () => {
    await new Promise((resolve) => setTimeout(resolve, 50))
    return {}
  }
  await withFakeBench(slow, async ({ build, ran }) => {
    const cached: boolean[] = []
    const onProgress = (event: BuildEvent): void => {
      if (event.type === 'step' && event.index === 2) cached.push(event.cached)
    }
    const all = await Promise.all([1, 2, 3, 4].map(() => build(image('scratch').run(['shared']).run(['more']), { onProgress })))
    assert.equal(ran(), ['more', 'shared'])
    assert.equal(cached.sort(), [false, true, true, true])
    assert.is(new Set(all.map(({ digest }) => digest)).size, 1)
  })
})

test('a diamond of thirty stages: each once, and what joins them sees all of them', () =>
  withFakeBench(
    () => ({}),
    async ({ build, ran }) => {
      const base = scratch.run(['base'])
      const middle = Array.from({ length: 28 }, (_, index) => base.run([`middle-${index}`]))
      const built = await build(joined(middle), { parallel: 4 })
      assert.is(ran().length, 29)
      assert.is(built.history.length, 28)
    },
  ))

test('the step that fails first is the failure; the others are ended, and their branches not gone on with', async () => {
  const meet = meeting(2)
  const behave: FakeCommand = async ({ argv: [name], signal }) => {
    await meet()
    if (name === 'bad') return { exitCode: 3 }
    await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()))
    return { exitCode: null, signal: 'SIGKILL' }
  }
  await withFakeBench(behave, async ({ build, ran }) => {
    const events: BuildEvent[] = []
    const app = joined([scratch.run(['bad']).run(['after-bad']), scratch.run(['patient']).run(['after-patient'])])
    const error = await failure(build(app, { parallel: 4, onProgress: (event) => events.push(event) }))
    assert.is(error.code, 'build_failed')
    assert.is(error.details?.step, 'RUN ["bad"]')
    assert.equal(ran(), ['bad', 'patient'])
    const failed = events.flatMap((event) => (event.type === 'failed' ? [event.name] : []))
    assert.is(failed[0], 'RUN ["bad"]')
    assert.is(failed.length, 2, 'and that which was ended')
  })
})

test('an abort ends every branch, and the steps that were finished stay', async () => {
  const meet = meeting(2)
  const control = new AbortController()
  const behave: FakeCommand = async ({ argv: [name], signal }) => {
    if (name === 'first') return {}
    if (control.signal.aborted) return {}
    await meet()
    queueMicrotask(() => control.abort(new Error('enough')))
    await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()))
    return { exitCode: null, signal: 'SIGKILL' }
  }
  await withFakeBench(behave, async ({ build, ran }) => {
    const base = scratch.run(['first'])
    const app = joined([base.run(['one']), base.run(['two'])])
    const error = await failure(build(app, { parallel: 4, signal: control.signal }))
    assert.is(error.code, 'aborted')
    assert.is((error.cause as Error).message, 'enough')
    await build(app)
    assert.equal(ran(), ['first', 'one', 'one', 'two', 'two'])
  })
})

test('a chain that cannot be is refused before any step is carried out, wherever it is', () =>
  withFakeBench(
    () => ({}),
    async ({ build, ran }) => {
      for (const bad of [scratch.run(['x']).from('scratch'), image().run(['x'])]) {
        assert.is((await failure(build(bad))).code, 'invalid_argument')
        assert.is((await failure(build(joined([scratch.run(['y']), bad])))).code, 'invalid_argument')
      }
      assert.equal(ran(), [])
    },
  ))

test('as many steps as an image may have are carried out in seconds, and one more is refused before any is', () =>
  withFakeBench(
    () => ({}),
    async ({ build }) => {
      const many = (count: number): { readonly steps: readonly Step[] } => ({
        steps: [...scratch.steps, ...Array.from({ length: count }, (_, at) => ({ kind: 'env' as const, variables: { A: String(at) } }))],
      })
      const before = process.cpuUsage()
      const built = await build(many(10_000))
      const { user, system } = process.cpuUsage(before)
      assert.is(built.history.length, 10_000)
      assert.equal(built.config.Env?.at(-1), 'A=9999')
      assert.ok(user + system < 20e6, `took ${(user + system) / 1e6} s`)
      let told = 0
      const onProgress = (): void => {
        told += 1
      }
      const halves = { steps: [...image(new ImageBuilder(many(6000).steps)).steps, ...many(6000).steps.slice(1)] }
      for (const [app, maximum] of [
        [many(10_001), 10_000],
        [halves, 10_000],
        [joined(Array.from({ length: 11 }, () => new ImageBuilder(many(9999).steps))), 100_000],
      ] as const) {
        const { code, details } = await failure(build(app, { onProgress }))
        assert.equal([code, details], ['limit_exceeded', { limit: 'steps', maximum }])
      }
      assert.is(told, 0)
    },
  ))

test('builds that grow out of the same one have histories of their own', () =>
  withFakeBench(
    () => ({}),
    async ({ build }) => {
      const base = scratch.env({ A: '1' })
      const [one, two] = [base.env({ B: '1' }).cmd(['one']), base.env({ B: '2' }).cmd(['two'])]
      const built = await build(one.copy('/', '/', { from: two }).copy('/', '/', { from: base }))
      assert.equal(
        built.history.map(({ created_by }) => created_by),
        ['ENV A=1', 'ENV B=1', 'CMD ["one"]', 'COPY --from=a build . /', 'COPY --from=a build . /'],
      )
      assert.equal(
        (await build(two)).history.map(({ created_by }) => created_by),
        ['ENV A=1', 'ENV B=2', 'CMD ["two"]'],
      )
    },
  ))

test('thousands of builds one on the other: built, planned and written as a Dockerfile', () =>
  withFakeBench(
    () => ({}),
    async ({ build }) => {
      const pile = Array.from({ length: 3000 }).reduce<typeof scratch>((below, _, at) => image(below).env({ A: String(at) }), scratch)
      const built = await build(pile)
      assert.equal([built.history.length, built.config.Env?.at(-1)], [3000, 'A=2999'])
      assert.is(outlineOf(pile.steps).config.Env?.at(-1), 'A=2999')
      const side = Array.from({ length: 3000 }).reduce<typeof scratch>((from) => scratch.copy('/', '/', { from }), scratch)
      assert.is(outlineOf(side.steps).layers.length, 1)
      const text = pile.toDockerfile()
      assert.is(text.split('\n').filter((line) => line.startsWith('FROM ')).length, 3001)
      assert.is(image().fromDockerfile({ text }).toDockerfile(), text)
      assert.is(side.toDockerfile().match(/^COPY /gm)?.length, 3000)
    },
  ))

test('steps are counted over all branches, and each event says which it is of', () =>
  withFakeBench(
    () => ({}),
    async ({ build }) => {
      const events: BuildEvent[] = []
      await build(joined(branches(2)), { onProgress: (event) => events.push(event) })
      const ended = events.flatMap((event) => (event.type === 'step' ? [event] : []))
      assert.equal(ended.map(({ index }) => index).sort(), [1, 2, 3, 4, 5])
      assert.equal([...new Set(ended.map(({ total }) => total))], [5])
      for (const { index } of ended) {
        const kinds = events.filter((event) => event.index === index).map(({ type }) => type)
        assert.equal([kinds.at(0), kinds.at(-1)], ['start', 'step'])
      }
    },
  ))

test('a step starts when it is worked on: one that waits for its turn has not', async () => {
  const commands: FakeCommand = async ({ onOutput }) => {
    onOutput?.('stdout', Buffer.from('x'))
    await new Promise((resolve) => setTimeout(resolve, 5))
    return {}
  }
  await withFakeBench(commands, async ({ build }) => {
    const tellings: BuildEvent[] = []
    const copies = [scratch.copy({ a: '1' }, '/'), scratch.workdir('/w'), scratch.copy({ a: '1' }, '/', { link: true })]
    const onProgress = (event: BuildEvent): void => void (event.name === 'FROM scratch' || tellings.push(event))
    await build(joined([...branches(4), ...copies]), { parallel: 1, onProgress })
    let underWay: number | undefined
    for (const { type, index, name } of tellings) {
      assert.is(underWay, type === 'start' ? undefined : index, `${type} of ${name}`)
      underWay = type === 'step' ? undefined : index
    }
    assert.is(tellings.filter(({ type }) => type === 'start').length, 14)
  })
})

test('a step that was still waiting for its turn when another failed is told nothing of', async () => {
  const behave: FakeCommand = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5))
    return { exitCode: 3 }
  }
  await withFakeBench(behave, async ({ build, ran }) => {
    const tellings: string[] = []
    const onProgress = ({ type, name }: BuildEvent): void => void (name.startsWith('RUN') && tellings.push(`${type} ${name}`))
    await failure(build(joined(branches(3)), { parallel: 1, onProgress }))
    const [name] = ran()
    assert.equal(tellings, [`start RUN ["${name}"]`, `failed RUN ["${name}"]`])
  })
})

test('however many steps listen to the signal of a build, Node warns of no leak', async () => {
  const meet = meeting(14)
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  const behave: FakeCommand = async ({ signal }) => {
    onAbort(signal, () => {})
    await meet()
    return {}
  }
  await withFakeBench(behave, async ({ build }) => {
    await build(joined(branches(14)), { parallel: 14 })
  })
  process.off('warning', onWarning)
  assert.equal(warnings, [])
})

test('who waits for an equal step of another build has no slot meanwhile', async () => {
  const gates = new Map<string, () => void>()
  const behave: FakeCommand = async ({ argv: [name = ''] }) => {
    await new Promise<void>((resolve) => gates.set(name, resolve))
    return {}
  }
  await withFakeBench(behave, async ({ build, ran }) => {
    const first = build(image('scratch').run(['shared']))
    while (!gates.has('shared')) await new Promise((resolve) => setTimeout(resolve, 1))
    const second = build(joined([scratch.run(['shared']), scratch.run(['own'])]), { parallel: 1 })
    while (!gates.has('own')) await new Promise((resolve) => setTimeout(resolve, 1))
    for (const open of gates.values()) open()
    await Promise.all([first, second])
    assert.equal(ran(), ['own', 'shared'])
  })
})

test('options of the graph that are none are refused', () =>
  withFakeBench(
    () => ({}),
    async ({ build, ran }) => {
      const wrong = [
        { parallel: 0 },
        { parallel: 1.5 },
        { cacheFrom: 5 },
        { cacheFrom: [{ reference: 7 }] },
        { cacheTo: { refrence: 'x' } },
        { cacheTo: `127.0.0.1:1/x@sha256:${'0'.repeat(64)}` },
      ]
      for (const options of wrong) {
        const error = await failure(build(scratch.run(['x']), options as unknown as BuildOptions))
        assert.is(error.code, 'invalid_argument', JSON.stringify(options))
      }
      assert.equal(ran(), [])
    },
  ))

test.run()
