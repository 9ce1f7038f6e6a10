import type { LayerEntry } from '../layers/index.ts'
import { invalidArgument } from './argument.ts'
import { type BuildContext, defaultEpoch, type PreparedStep } from './context.ts'
import { carryOutCopy, destinationOf, isDirectoryName, type PlannedCopy, planCopy } from './copy.ts'
import { fileEntries, layerOf } from './file-layer.ts'
import { archiveEntries, isArchive } from './files/archive.ts'
import { type Download, download } from './files/download.ts'
import { type FileSource, type SourceEntry, type SourceMatch, textPath } from './files/entry.ts'
import { lookUpOwner, numericOwner, type Owner } from './files/owner.ts'
import { isType, RootPaths } from './files/root-paths.ts'
import { RootWriter } from './files/writer.ts'
import { workdirOf } from './settings.ts'
import { type Stage, snapshotsOf, stageLayer } from './stage.ts'
import type { AddStep } from './step.ts'

/** What is added, found and read once: files of the context and downloaded ones; of these, archives that are to be unpacked. */
interface Planned extends PlannedCopy {
  readonly archives: ReadonlySet<SourceEntry>
}

/** What an add takes, opened when it is first needed. */
class AddInput implements FileSource {
  readonly #step: AddStep
  readonly #context: BuildContext
  readonly #downloads = new Map<SourceEntry, Download>()
  #files: FileSource | undefined
  #planned: Promise<Planned> | undefined

  constructor(step: AddStep, context: BuildContext) {
    this.#step = step
    this.#context = context
  }

  planned(): Promise<Planned> {
    this.#planned ??= this.#plan()
    return this.#planned
  }

  async find(): Promise<readonly SourceMatch[]> {
    return (await this.planned()).matches
  }

  async *read(entry: SourceEntry): AsyncIterable<Buffer> {
    const downloaded = this.#downloads.get(entry)
    if (downloaded) yield* downloaded.read()
    else if (this.#files) yield* this.#files.read(entry)
  }

  forget(entry: SourceEntry): void {
    this.#files?.forget?.(entry)
  }

  async #plan(): Promise<Planned> {
    const { sources, exclude, checksum, destination, keepArchives } = this.#step
    const { options, runtime, files } = this.#context
    const plans: PlannedCopy[] = []
    const archives = new Set<SourceEntry>()
    for (const source of sources) {
      if (source.kind === 'url') {
        const file = await download(source.url, runtime.store, { checksum, signal: options.signal })
        const [entry] = file.match.entries
        if (!entry) continue
        this.#downloads.set(entry, file)
        if (file.match.name === '' && isDirectoryName(destination))
          throw invalidArgument(
            'add',
            `has a URL that names no file: ${source.url}`,
            'Give the whole path as the destination, without "/" at its end.',
          )
        plans.push({
          matches: [file.match],
          digests: new Map([[entry, file.digest]]),
          content: `${textPath(file.match.name)} ${file.digest}`,
        })
        if (keepArchives === false && (await this.#isArchive(file.match, entry))) archives.add(entry)
      } else {
        this.#files ??= await files.open(options.context)
        const request = { paths: [source.path], exclude, where: 'the build context' }
        const plan = await planCopy(request, this.#files, options.signal)
        plans.push(plan)
        for (const match of keepArchives === true ? [] : plan.matches) {
          const [entry] = match.entries
          if (entry?.kind === 'file' && (await this.#isArchive(match, entry))) archives.add(entry)
        }
      }
    }
    return {
      matches: plans.flatMap(({ matches }) => matches),
      digests: new Map(plans.flatMap(({ digests }) => [...digests])),
      content: JSON.stringify(plans.map(({ content }) => content)),
      archives,
    }
  }

  async #isArchive(match: SourceMatch, entry: SourceEntry): Promise<boolean> {
    return await isArchive(textPath(match.name), this.read(entry))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.#downloads.values()) await each[Symbol.asyncDispose]()
  }
}

/** What the image has to say about an add: whose the files are, and whether the destination is a directory. */
interface Target {
  readonly owner: Owner | undefined
  readonly isDirectory: boolean
}

async function lookAt(step: AddStep, paths: RootPaths, workdir: string): Promise<Target> {
  const owner = step.chown === undefined ? undefined : await lookUpOwner(paths, step.chown)
  const place = await paths.resolve(destinationOf(workdir, step.destination))
  return { owner, isDirectory: isDirectoryName(step.destination) || isType(place.record, 'directory') }
}

/** Everything of an add as entries of a layer, archives as what is in them. */
async function* entriesOf(
  step: AddStep,
  planned: Planned,
  input: AddInput,
  target: Target,
  workdir: string,
  context: BuildContext,
): AsyncGenerator<LayerEntry> {
  const destination = destinationOf(workdir, step.destination)
  for (const match of planned.matches) {
    const [entry] = match.entries
    if (entry && planned.archives.has(entry)) {
      yield* archiveEntries(textPath(match.name), input.read(entry), destination, target.owner)
    } else {
      const isDirectory = target.isDirectory || planned.matches.length > 1
      yield* fileEntries(
        { ...planned, matches: [match] },
        input,
        { destination, isDirectory, owner: target.owner, chmod: step.chmod },
        context,
      )
    }
  }
}

/** An add as a step with a layer. With a checksum its outcome is known before anything is downloaded. */
export async function prepareAdd(step: AddStep, stage: Stage, context: BuildContext): Promise<PreparedStep> {
  const input = new AddInput(step, context)
  const workdir = workdirOf(stage.settings)
  const { destination, chown = null, chmod = null, keepArchives = null, link, checksum } = step
  const shared = { kind: 'add', workdir, destination, chown, chmod, keepArchives, ...(link ? { link, on: null } : {}) }
  return {
    async *keys() {
      if (checksum !== undefined)
        yield { ...shared, checksum, name: step.sources.map((source) => (source.kind === 'url' ? source.url : '')) }
      yield { ...shared, content: (await input.planned()).content }
    },
    async carryOut() {
      const { runtime, options, epoch } = context
      const planned = await input.planned()
      const { signal } = options
      if (link) {
        const owner = chown === null ? undefined : numericOwner(chown)
        return await layerOf(
          entriesOf(step, planned, input, { owner, isDirectory: isDirectoryName(destination) }, workdir, context),
          stage,
          context,
        )
      }
      const layer = await runtime.openLayer(snapshotsOf(stage), { signal })
      try {
        const agent = await layer.agent()
        const target = await lookAt(step, new RootPaths(agent), workdir)
        if (planned.archives.size > 0) return await layerOf(entriesOf(step, planned, input, target, workdir, context), stage, context)
        const writer = new RootWriter(agent, {
          owner: target.owner,
          chmod: step.chmod,
          canChown: runtime.canChown,
          epoch: epoch ?? defaultEpoch,
          latest: epoch,
        })
        await carryOutCopy(step, planned, input, writer, workdir, signal)
        return stageLayer(await layer.commit())
      } finally {
        await layer.discard()
      }
    },
    [Symbol.asyncDispose]: () => input[Symbol.asyncDispose](),
  }
}
