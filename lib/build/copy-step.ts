import { openBase } from './bases.ts'
import { type BuildContext, defaultEpoch, type PreparedStep } from './context.ts'
import { carryOutCopy, destinationOf, isDirectoryName, type PlannedCopy, planCopy, requestOf } from './copy.ts'
import { fileEntries, layerOf, upperLayer } from './file-layer.ts'
import type { FileSource } from './files/entry.ts'
import { MemoryFiles } from './files/memory.ts'
import { lookUpOwner, numericOwner } from './files/owner.ts'
import { RootPaths } from './files/root-paths.ts'
import { Upper } from './files/upper.ts'
import { openImage } from './image-source.ts'
import { workdirOf } from './settings.ts'
import { type Stage, snapshotsOf } from './stage.ts'
import type { Base, CopyStep } from './step.ts'

/** What is copied, opened when it is first needed and read once. */
class CopyInput implements AsyncDisposable {
  readonly #step: CopyStep
  readonly #context: BuildContext
  readonly #image: Stage | undefined
  #opened: FileSource | undefined
  #planned: PlannedCopy | undefined

  constructor(step: CopyStep, context: BuildContext, image: Stage | undefined) {
    this.#step = step
    this.#context = context
    this.#image = image
  }

  async source(): Promise<FileSource> {
    this.#opened ??= await this.#open()
    return this.#opened
  }

  async planned(): Promise<PlannedCopy> {
    this.#planned ??= await planCopy(requestOf(this.#step), await this.source(), this.#context.options.signal)
    return this.#planned
  }

  async #open(): Promise<FileSource> {
    const { source } = this.#step
    if (source.kind === 'memory') return new MemoryFiles(source.files)
    return this.#image ? await openImage(this.#image, this.#context) : await this.#context.files.open(this.#context.options.context)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The context is the build's: other steps take from it, too.
    if (this.#step.source.kind !== 'context') await this.#opened?.[Symbol.asyncDispose]()
  }
}

function imageOf(step: CopyStep): Base | undefined {
  return step.source.kind === 'image' ? step.source.base : undefined
}

/** A copy as a step with a layer. From an image, the same layers are known to give the same files without a look at them. */
export async function prepareCopy(step: CopyStep, stage: Stage, context: BuildContext): Promise<PreparedStep> {
  const base = imageOf(step)
  const image = base && (await openBase(base, context))
  const input = new CopyInput(step, context, image)
  const workdir = workdirOf(stage.settings)
  const { destination, chown = null, chmod = null, link, parents, exclude } = step
  const shared = { kind: 'copy', workdir, destination, chown, chmod, ...(link ? { link, on: null } : {}), ...(parents ? { parents } : {}) }
  const { paths = [] } = step.source.kind === 'memory' ? {} : step.source
  const knownBy = (source: FileSource): string => JSON.stringify({ ...shared, paths, exclude, root: source.root ?? null })
  return {
    async *keys() {
      if (image && step.source.kind === 'image')
        yield { ...shared, image: snapshotsOf(image).at(-1) ?? null, paths: step.source.paths, exclude: exclude ?? null }
      yield { ...shared, content: (await input.planned()).content }
    },
    async carryOut() {
      const { runtime, options, epoch } = context
      const time = image ? undefined : epoch
      for (const each of (await input.planned()).leftOut ?? []) context.onNotice?.(each)
      if (link) {
        const owner = chown === null ? undefined : numericOwner(chown)
        const isDirectory = parents === true || isDirectoryName(destination)
        const place = {
          destination: destinationOf(workdir, destination),
          isDirectory,
          owner,
          chmod: step.chmod,
          time,
          isUnnamed: step.source.kind === 'memory',
        }
        const [planned, source] = [await input.planned(), await input.source()]
        return await layerOf(() => fileEntries(planned, source, place, context), stage, context, knownBy(source))
      }
      const layer = await runtime.openLayer(snapshotsOf(stage), { signal: options.signal, scaffold: false })
      try {
        const agent = await layer.agent()
        const owner = step.chown === undefined ? undefined : await lookUpOwner(new RootPaths(agent), step.chown)
        const upper = new Upper(new RootPaths(agent), {
          owner,
          chmod: step.chmod,
          canChown: runtime.canChown,
          epoch: epoch ?? defaultEpoch,
          time,
        })
        await carryOutCopy(step, await input.planned(), upper, workdir, options.signal)
        const source = await input.source()
        return await upperLayer(upper, source, context, knownBy(source))
      } finally {
        await layer.discard()
      }
    },
    [Symbol.asyncDispose]: () => input[Symbol.asyncDispose](),
  }
}
