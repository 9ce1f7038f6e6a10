import { StrakeError } from '../errors/index.ts'
import { type ImageData, namesFrom, parsePlatform } from '../images/index.ts'
import { sourceDateEpoch } from '../layers/index.ts'
import { storeError } from '../store/index.ts'
import { prepareAdd } from './add-step.ts'
import { withArguments } from './arguments.ts'
import { openBase } from './bases.ts'
import { BuildCache, type CachedStep, cacheKey } from './cache.ts'
import { type BuildContext, type BuildOptions, checkBuildOptions, type PreparedStep, timeOf } from './context.ts'
import { prepareCopy } from './copy-step.ts'
import { describeStep } from './describe.ts'
import { abortedError, BuildError, checkAborted } from './failure.ts'
import type { BuildEvent } from './progress.ts'
import { writeStage } from './result.ts'
import { prepareRun } from './run-step.ts'
import type { BuildRuntime } from './runtime.ts'
import { applyStep, applyWorkdir, workdirOf } from './settings.ts'
import { extend, imageLayers, type Stage, type StageLayer, snapshotsOf } from './stage.ts'
import type { FromStep, Step } from './step.ts'
import { prepareWorkdir } from './workdir-step.ts'

/**
 * Builds an image: carries out `steps` one after the other, or takes from the cache what an earlier build made of the same step on
 * the same layers. Resolves to the image, which is in the store. Nothing is left of a build that fails or is aborted but its finished steps.
 * Rejects with `build_failed` (a `BuildError`), `aborted`, `store_full`, `context_invalid`, `path_escapes`, `image_not_found`, ….
 */
export async function buildImage(steps: readonly Step[], options: BuildOptions, runtime: BuildRuntime): Promise<ImageData> {
  checkBuildOptions(options)
  const tags = namesFrom(options.tag)
  const builds = new Map<readonly Step[], Promise<Stage>>()
  const context: BuildContext = {
    runtime,
    options,
    cache: new BuildCache(runtime.store),
    platform: options.platform === undefined ? undefined : parsePlatform(options.platform),
    epoch: sourceDateEpoch(),
    build(inner) {
      const stage = builds.get(inner) ?? solve(inner, context)
      builds.set(inner, stage)
      return stage
    },
  }
  try {
    return await writeStage(runtime.store, await context.build(steps), tags)
  } catch (error) {
    if (options.signal?.aborted && !(error instanceof StrakeError && error.code === 'aborted')) throw abortedError(options.signal)
    throw storeError(error)
  }
}

async function solve(steps: readonly Step[], context: BuildContext): Promise<Stage> {
  const [first, ...rest] = steps
  if (first?.kind !== 'from') {
    throw new StrakeError('invalid_argument', 'an image starts with from()', {
      hint: "from('scratch') starts with nothing, from('host') with this machine's shell and tools",
    })
  }
  const progress = new StepProgress(steps.length, context.options.onProgress)
  let stage = await progress.report(1, first, async (_, onPull) => ({ stage: await begin(first, { ...context, onPull }), isCached: false }))
  for (const [index, step] of rest.entries()) {
    checkAborted(context.options.signal)
    const before = stage
    stage = await progress.report(index + 2, step, (emit, onPull) => advance(before, step, { ...context, onPull }, emit))
  }
  return stage
}

async function begin(step: FromStep, context: BuildContext): Promise<Stage> {
  checkAborted(context.options.signal)
  const stage = await openBase(step.base, context)
  return { ...stage, hasOwnCmd: false }
}

type Emit = (stream: 'stdout' | 'stderr', data: Uint8Array) => void

interface Advance {
  readonly stage: Stage
  readonly isCached: boolean
}

async function advance(stage: Stage, step: Step, context: BuildContext, emit: Emit): Promise<Advance> {
  switch (step.kind) {
    case 'from':
      throw new StrakeError('invalid_argument', 'from() comes first, and once', {
        hint: 'copy(…, { from: image }) takes files of another image',
      })
    case 'run':
      return await layered(stage, step, await prepareRun(step, stage, context), context, emit)
    case 'copy':
      return await layered(stage, step, await prepareCopy(step, stage, context), context, emit)
    case 'add':
      return await layered(stage, step, await prepareAdd(step, stage, context), context, emit)
    case 'arg':
      return {
        stage: withArguments(extend(stage, { name: describeStep(step), created: stage.created }), step, context.options),
        isCached: false,
      }
    case 'workdir': {
      const moved = { ...stage, settings: applyWorkdir(stage.settings, step.path) }
      return await layered(moved, step, prepareWorkdir(workdirOf(moved.settings), stage, context), context, emit)
    }
    default: {
      const next = extend(stage, { name: describeStep(step), created: stage.created }, applyStep(stage.settings, step, stage.hasOwnCmd))
      return { stage: step.kind === 'cmd' ? { ...next, hasOwnCmd: true } : next, isCached: false }
    }
  }
}

/** Looks a step up in the cache, or carries it out and remembers what it made under all of its keys. */
async function layered(stage: Stage, step: Step, prepared: PreparedStep, context: BuildContext, emit: Emit): Promise<Advance> {
  await using ready = prepared
  const name = describeStep(step)
  const missed: string[] = []
  for await (const parts of ready.keys()) {
    const key = cacheKey({
      on: snapshotsOf(stage).at(-1) ?? null,
      canChown: context.runtime.canChown,
      platform: stage.platform,
      epoch: context.epoch ?? null,
      ...parts,
    })
    const found = context.options.noCache ? undefined : await context.cache.get(key)
    if (found) {
      for (const each of missed) await context.cache.set(each, found)
      return { stage: extend(stage, { name, ...found }), isCached: true }
    }
    missed.push(key)
  }
  await context.runtime.unpack({ layers: imageLayers(stage) }, { signal: context.options.signal })
  const made: CachedStep = { layer: await carryOut(stage, name, ready, context, emit), created: timeOf(context) }
  for (const key of missed) await context.cache.set(key, made)
  return { stage: extend(stage, { name, ...made }), isCached: false }
}

/** Gives a step's failure the image as it was before it. */
async function carryOut(
  stage: Stage,
  name: string,
  ready: PreparedStep,
  context: BuildContext,
  emit: Emit,
): Promise<StageLayer | undefined> {
  try {
    return await ready.carryOut(emit)
  } catch (error) {
    if (!(error instanceof StrakeError) || error.code !== 'build_failed') throw error
    const details = { exitCode: null, log: '', ...error.details, step: name }
    const shared = { hint: error.hint, cause: error.cause, details }
    const state = await writeStage(context.runtime.store, stage, []).catch((failure: unknown) => {
      // Where the disk is full there is no image of the stage; that the command failed is what matters still.
      if (failure instanceof StrakeError && failure.code === 'store_full') throw new StrakeError('build_failed', error.message, shared)
      throw failure
    })
    throw new BuildError(error.message, { ...shared, state })
  }
}

/** Tells `onProgress` of the steps of one build. */
class StepProgress {
  readonly #total: number
  readonly #tell: (event: BuildEvent) => void

  constructor(total: number, onProgress: ((event: BuildEvent) => void) | undefined) {
    this.#total = total
    this.#tell = onProgress ?? (() => {})
  }

  async report(index: number, step: Step, work: (emit: Emit, onPull: BuildContext['onPull']) => Promise<Advance>): Promise<Stage> {
    const shared = { index, total: this.#total, name: describeStep(step) }
    const start = performance.now()
    this.#tell({ type: 'start', ...shared })
    const { name } = shared
    const { stage, isCached } = await work(
      (stream, data) => this.#tell({ type: 'log', index, name, stream, data }),
      (reference, transfer) => this.#tell({ type: 'pull', index, name, reference, transfer }),
    )
    this.#tell({ type: 'step', ...shared, cached: isCached, durationMs: performance.now() - start })
    return stage
  }
}
