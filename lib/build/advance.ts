import { StrakeError } from '../errors/index.ts'
import { prepareAdd } from './add-step.ts'
import { withArguments } from './arguments.ts'
import { openBase } from './bases.ts'
import { beginStage, contextOf, settledSteps } from './begin.ts'
import { type CachedStep, cacheKey } from './cache.ts'
import { type BuildContext, type PreparedStep, timeOf } from './context.ts'
import { prepareCopy } from './copy-step.ts'
import { describeStep } from './describe.ts'
import { BuildError, checkAborted, failureOf } from './failure.ts'
import type { Reporter } from './report.ts'
import { writeStage } from './result.ts'
import { prepareRun } from './run-step.ts'
import { applyStep, applyWorkdir, workdirOf } from './settings.ts'
import { extend, imageLayers, type Stage, type StageLayer, snapshotsOf } from './stage.ts'
import type { Step } from './step.ts'
import { prepareWorkdir } from './workdir-step.ts'

export interface Advance {
  readonly stage: Stage
  /** Of a step that changes nothing but the config: as the one before it. */
  readonly isCached: boolean
}

/** The stage after a step; `before` is undefined for `from` alone. Whatever it rejects with says in its details which step it was. */
export async function advance(before: Advance | undefined, step: Step, context: BuildContext, reporter: Reporter): Promise<Advance> {
  try {
    return await afterStep(before, step, context, reporter)
  } catch (error) {
    throw failureOf(describeStep(step), error)
  }
}

async function afterStep(before: Advance | undefined, step: Step, context: BuildContext, reporter: Reporter): Promise<Advance> {
  checkAborted(context.options.signal)
  // Of one that stands for several: what is opened for the next may be a build that needs slots.
  reporter.leave()
  if (step.kind === 'from') {
    reporter.begin()
    let isCached = true
    const onMade = (): void => {
      isCached = false
    }
    const begun = beginStage(await openBase(step.base, { ...context, onPull: reporter.pull, onNotice: reporter.notice, onMade }), step)
    return await advanceAll({ stage: begun.stage, isCached }, begun.triggers, context, reporter)
  }
  if (before === undefined) throw new Error(`${step.kind} without a stage`)
  return await advanced(before, step, { ...contextOf(before.stage, context), onPull: reporter.pull, onNotice: reporter.notice }, reporter)
}

/** The stage after steps that nobody has seen before: what an instruction of a Dockerfile turned out to be. */
async function advanceAll(begin: Advance, steps: readonly Step[], context: BuildContext, reporter: Reporter): Promise<Advance> {
  let next = begin
  let isCached = begin.isCached
  for (const step of steps) {
    next = await advance(next, step, context, reporter)
    isCached &&= next.isCached
  }
  return { stage: next.stage, isCached }
}

async function advanced(
  { stage, isCached }: Advance,
  step: Exclude<Step, { kind: 'from' }>,
  context: BuildContext,
  reporter: Reporter,
): Promise<Advance> {
  switch (step.kind) {
    case 'run':
      return await layered(stage, step, await prepareRun(step, stage, context), context, reporter)
    case 'copy':
      return await layered(stage, step, await prepareCopy(step, stage, context), context, reporter)
    case 'add':
      return await layered(stage, step, await prepareAdd(step, stage, context), context, reporter)
    case 'arg':
      return {
        stage: withArguments(extend(stage, { name: describeStep(step), created: stage.created }), step, context.options),
        isCached,
      }
    case 'maintainer':
      return { stage: { ...extend(stage, { name: describeStep(step), created: stage.created }), author: step.author }, isCached }
    case 'late':
      return await advanceAll({ stage, isCached }, settledSteps(step, stage), context, reporter)
    case 'workdir': {
      const moved = { ...stage, settings: applyWorkdir(stage.settings, step.path) }
      return await layered(moved, step, prepareWorkdir(workdirOf(moved.settings), stage, context), context, reporter)
    }
    default: {
      const next = extend(stage, { name: describeStep(step), created: stage.created }, applyStep(stage.settings, step, stage.hasOwnCmd))
      return { stage: step.kind === 'cmd' ? { ...next, hasOwnCmd: true } : next, isCached }
    }
  }
}

/** Looks a step up in the cache, or carries it out and remembers what it made under all of its keys. */
async function layered(stage: Stage, step: Step, prepared: PreparedStep, context: BuildContext, reporter: Reporter): Promise<Advance> {
  await using ready = prepared
  // The keys, too, may be work: files are read for them, or downloaded.
  await reporter.enter(context)
  const name = describeStep(step)
  const keys: string[] = []
  for await (const parts of ready.keys()) {
    const key = cacheKey({
      on: snapshotsOf(stage).at(-1) ?? null,
      canChown: context.runtime.canChown,
      platform: stage.platform,
      epoch: context.epoch ?? null,
      ...parts,
    })
    keys.push(key)
    const found = context.options.noCache ? undefined : await context.cache.get(key)
    if (found) return { stage: extend(stage, { name, ...(await remember(keys, found, context, key)) }), isCached: true }
    // What follows may be dear to compute: an image would be unpacked only to be looked at.
    if (context.remoteCaches.some((cache) => cache.has(key))) break
  }
  const { record, isCached } = await once(keys, context, async () => {
    checkAborted(context.options.signal)
    await context.runtime.unpack({ layers: imageLayers(stage) }, { signal: context.options.signal, onNotice: context.onNotice })
    return { layer: await carryOut(stage, name, ready, context, reporter), created: timeOf(context) }
  })
  return { stage: extend(stage, { name, ...record }), isCached }
}

interface Outcome {
  readonly record: CachedStep
  readonly isCached: boolean
}

/**
 * Carries a step out, unless the same one is being carried out by this build, another one or another process: then its outcome is waited for. Caches
 * of other places are asked, too, before it is.
 */
async function once(keys: readonly string[], context: BuildContext, carryOut: () => Promise<CachedStep>): Promise<Outcome> {
  const last = keys.at(-1) ?? ''
  const same = context.underWay.get(last)
  if (same) return { record: (await context.slots.lend(() => same)).record, isCached: true }
  const work = async (): Promise<Outcome> => {
    const found = await fromCaches(keys, context)
    return found ? { record: found, isCached: true } : await made()
  }
  const made = async (): Promise<Outcome> => ({ record: await remember(keys, await carryOut(), context), isCached: false })
  const outcome = context.options.noCache ? made() : locked(`step-${last}`, context, work)
  context.underWay.set(last, outcome)
  return await outcome
}

/** Works under a lock of the store. Whoever must wait for it waits for what another build is at, and needs no slot for that. */
async function locked<T>(name: string, { runtime, options, slots }: BuildContext, work: () => Promise<T>): Promise<T> {
  const { store } = runtime
  const shared = { signal: options.signal, isTransient: true }
  const release = await store.lock(name, { ...shared, timeout: 0 }).catch((error: unknown) => {
    if (!(error instanceof StrakeError) || error.code !== 'store_busy') throw error
    return slots.lend(() => store.lock(name, { ...shared, timeout: Number.POSITIVE_INFINITY }))
  })
  try {
    return await work()
  } finally {
    await release()
  }
}

async function fromCaches(keys: readonly string[], context: BuildContext): Promise<CachedStep | undefined> {
  for (const cache of [context.cache, ...context.remoteCaches]) {
    for (const key of keys) {
      const found = await cache.get(key, context.onNotice)
      if (found) return await remember(keys, found, context, cache === context.cache ? key : undefined)
    }
  }
  return undefined
}

/** Keeps what a step made, under all of its keys but the one by which it was found here. */
async function remember(keys: readonly string[], record: CachedStep, context: BuildContext, foundBy?: string): Promise<CachedStep> {
  for (const key of keys) {
    context.finished.set(key, record)
    if (key !== foundBy) await context.cache.set(key, record)
  }
  return record
}

/** Gives a step's failure the image as it was before it. */
async function carryOut(
  stage: Stage,
  name: string,
  ready: PreparedStep,
  context: BuildContext,
  reporter: Reporter,
): Promise<StageLayer | undefined> {
  try {
    return await ready.carryOut(reporter.log)
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
