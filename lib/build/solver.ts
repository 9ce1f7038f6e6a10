import { onAbort, StrakeError } from '../errors/index.ts'
import { type ImageData, namesFrom, parsePlatform } from '../images/index.ts'
import { sourceDateEpoch } from '../layers/index.ts'
import { storeError } from '../store/index.ts'
import { type Advance, advance } from './advance.ts'
import { BuildCache } from './cache.ts'
import { type BuildContext, type BuildOptions, cacheLocations, checkBuildOptions } from './context.ts'
import { ContextFiles } from './context-files.ts'
import { abortedError } from './failure.ts'
import { Graph, type Vertex } from './graph.ts'
import { exportCache, RemoteCache } from './remote-cache.ts'
import { reported } from './report.ts'
import { writeStage } from './result.ts'
import type { BuildRuntime } from './runtime.ts'
import { Slots, usualParallel } from './slots.ts'
import type { Stage } from './stage.ts'
import type { Step } from './step.ts'

/**
 * Builds an image: carries out `steps` and those of the builds that they take from, independent ones at once, or takes from the cache what
 * an earlier build made of the same step on the same layers. Resolves to the image, which is in the store. Nothing is left of a build that fails or is
 * aborted but its finished steps. Rejects with `build_failed` (a `BuildError`), `aborted`, `store_full`, `context_invalid`, `path_escapes`,
 * `image_not_found`, …: with the failure of the step that failed first, which is in `details.step`; the others have been ended by then.
 */
export async function buildImage(steps: readonly Step[], options: BuildOptions, runtime: BuildRuntime): Promise<ImageData> {
  checkBuildOptions(options)
  const tags = namesFrom(options.tag)
  await using files = new ContextFiles(runtime, options.signal)
  using solver = new Solver(options, runtime, files)
  const { store } = runtime
  try {
    const image = await writeStage(store, await solver.solve(steps), tags)
    if (options.cacheTo !== undefined) await exportCache(store, options.cacheTo, solver.finished, options.signal)
    return image
  } catch (error) {
    if (options.signal?.aborted && !(error instanceof StrakeError && error.code === 'aborted')) throw abortedError(options.signal)
    throw storeError(error)
  } finally {
    await runtime.settle()
  }
}

/** One build: its graph, and each vertex's stage as soon as there is one. */
class Solver implements Disposable {
  readonly finished: BuildContext['finished'] = new Map()
  readonly #graph = new Graph()
  readonly #stages = new Map<Vertex, Promise<Advance>>()
  /** How many steps have yet to take a vertex's stage. One that nobody takes any more is let go of: stages are as large as what they say. */
  readonly #takers = new Map<Vertex, number>()
  readonly #ended: Promise<void>[] = []
  #begun = 0
  readonly #options: BuildOptions
  readonly #runtime: BuildRuntime
  readonly #files: ContextFiles
  /** Aborted when the caller's signal is, or when a step has failed. */
  readonly #control = new AbortController()
  readonly #forget: () => void
  #context: BuildContext | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(options: BuildOptions, runtime: BuildRuntime, files: ContextFiles) {
    this.#options = options
    this.#runtime = runtime
    this.#files = files
    if (options.signal?.aborted) this.#onAbort()
    this.#forget = onAbort(options.signal, this.#onAbort)
  }

  readonly #onAbort = (): void => this.#control.abort(this.#options.signal?.reason)

  async solve(steps: readonly Step[]): Promise<Stage> {
    const end = this.#graph.add(steps)
    this.#context = await this.#open()
    this.#take(end)
    this.#begin(this.#context)
    // A step may have turned out to need another build meanwhile.
    for (let known = 0; known < this.#ended.length; ) {
      known = this.#ended.length
      await Promise.all(this.#ended)
    }
    if (this.#failure) throw this.#failure.error
    return (await this.#stageOf(end, this.#context)).stage
  }

  async #open(): Promise<BuildContext> {
    const { store } = this.#runtime
    const { platform, cacheFrom, noCache, parallel = usualParallel } = this.#options
    const { signal } = this.#control
    const remotes = noCache ? [] : await Promise.all(cacheLocations(cacheFrom).map((location) => RemoteCache.open(store, location, signal)))
    const context: BuildContext = {
      runtime: this.#runtime,
      options: { ...this.#options, signal },
      cache: new BuildCache(store),
      remoteCaches: remotes.filter((cache) => cache !== undefined),
      finished: this.finished,
      underWay: new Map(),
      slots: new Slots(parallel),
      files: this.#files,
      platform: platform === undefined ? undefined : parsePlatform(platform),
      epoch: sourceDateEpoch(),
      build: async (inner) => {
        const end = this.#graph.add(inner)
        this.#begin(context)
        return (await this.#stageOf(end, context)).stage
      },
    }
    return context
  }

  /** Starts what has not begun. What a vertex needs comes before it, so its promise is there already. */
  #begin(context: BuildContext): void {
    const fresh = this.#graph.vertices.slice(this.#begun)
    this.#begun = this.#graph.vertices.length
    for (const vertex of fresh) for (const each of neededBy(vertex)) this.#take(each)
    for (const vertex of fresh) this.#start(vertex, context)
  }

  #start(vertex: Vertex, context: BuildContext): Promise<Advance> {
    const stage = this.#carryOut(vertex, context)
    this.#stages.set(vertex, stage)
    const onEnd = (): void => {
      for (const each of neededBy(vertex)) this.#release(each)
    }
    this.#ended.push(stage.then(onEnd, onEnd))
    return stage
  }

  #take(vertex: Vertex): void {
    this.#takers.set(vertex, (this.#takers.get(vertex) ?? 0) + 1)
  }

  #release(vertex: Vertex): void {
    const left = (this.#takers.get(vertex) ?? 0) - 1
    if (left > 0) this.#takers.set(vertex, left)
    else {
      this.#takers.delete(vertex)
      this.#stages.delete(vertex)
    }
  }

  async #carryOut(vertex: Vertex, context: BuildContext): Promise<Advance> {
    await Promise.all(vertex.needs.map((each) => this.#stageOf(each, context)))
    const before = vertex.before && (await this.#stageOf(vertex.before, context))
    try {
      const total = this.#graph.vertices.length
      return await reported(vertex, total, this.#options.onProgress, (reporter) => advance(before, vertex.step, context, reporter))
    } catch (error) {
      this.#failure ??= { error }
      this.#control.abort(error)
      throw error
    }
  }

  /** One that was let go of is made again, from the cache: nothing asks for it but a build that nobody knew of. */
  #stageOf(vertex: Vertex, context: BuildContext): Promise<Advance> {
    const stage = this.#stages.get(vertex)
    if (stage) return stage
    for (const each of neededBy(vertex)) this.#take(each)
    return this.#start(vertex, context)
  }

  [Symbol.dispose](): void {
    this.#forget()
  }
}

function neededBy({ before, needs }: Vertex): readonly Vertex[] {
  return before ? [before, ...needs] : needs
}
