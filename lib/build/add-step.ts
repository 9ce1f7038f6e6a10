import type { LayerEntry } from '../layers/index.ts'
import { invalidArgument } from './argument.ts'
import { type BuildContext, defaultEpoch, type PreparedStep } from './context.ts'
import { carryOutCopy, destinationOf, isDirectoryName, type PlannedCopy, planCopy } from './copy.ts'
import { directoryEntries, fileEntries, layerOf, upperLayer } from './file-layer.ts'
import { archiveDamaged, archiveEntries, isArchive } from './files/archive.ts'
import { type Download, download } from './files/download.ts'
import { type BytePath, type FileSource, type SourceEntry, type SourceMatch, textPath } from './files/entry.ts'
import { fetchGit, type GitFiles, gitCommit } from './files/git.ts'
import { lookUpOwner, numericOwner, type Owner } from './files/owner.ts'
import { escapePattern } from './files/pattern.ts'
import { isType, parentOf, RootPaths } from './files/root-paths.ts'
import { Upper } from './files/upper.ts'
import { workdirOf } from './settings.ts'
import { type Stage, snapshotsOf } from './stage.ts'
import type { AddStep, GitSource } from './step.ts'

/** What is added, found and read once: files of the context and downloaded ones; of these, archives that are to be unpacked. */
interface Planned extends PlannedCopy {
  readonly archives: ReadonlySet<SourceEntry>
}

/** What an add takes, opened when it is first needed. */
class AddInput implements FileSource {
  readonly #step: AddStep
  readonly #context: BuildContext
  readonly #downloads = new Map<SourceEntry, Download>()
  readonly #commits = new Map<GitSource, Promise<string>>()
  readonly #repositories: GitFiles[] = []
  readonly #checkedOut = new Map<SourceEntry, GitFiles>()
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
    const repository = this.#checkedOut.get(entry)
    if (downloaded) yield* downloaded.read()
    else if (repository) yield* repository.read(entry)
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
      if (source.kind === 'git') plans.push(await this.#fetch(source))
      else if (source.kind === 'url') {
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
      links: new Map(plans.flatMap(({ links = [] }) => [...links])),
      content: JSON.stringify(plans.map(({ content }) => content)),
      leftOut: plans.flatMap(({ leftOut = [] }) => leftOut),
      archives,
    }
  }

  /** The commits of an add that takes from nothing but repositories, which says all of what it takes. */
  async commits(): Promise<readonly string[] | undefined> {
    const { sources } = this.#step
    const repositories = sources.filter((source) => source.kind === 'git')
    if (repositories.length < sources.length) return undefined
    return await Promise.all(repositories.map(async (source) => `${await this.#commit(source)}:${source.directory ?? ''}`))
  }

  /** Asked for once: a branch may go on meanwhile. */
  #commit(source: GitSource): Promise<string> {
    const commit = this.#commits.get(source) ?? gitCommit(source, this.#context.options.signal)
    this.#commits.set(source, commit)
    return commit
  }

  async #fetch(source: GitSource): Promise<PlannedCopy> {
    const { options, runtime } = this.#context
    const { signal } = options
    const { exclude, keepGitDir } = this.#step
    const files = await fetchGit(source, await this.#commit(source), runtime.store, { keepsGitDir: keepGitDir, signal })
    this.#repositories.push(files)
    const request = { paths: [escapePattern(source.directory ?? '.')], exclude, where: `the repository ${source.url}` }
    const plan = await planCopy(request, files, signal)
    for (const { entries } of plan.matches) for (const entry of entries) this.#checkedOut.set(entry, files)
    return plan
  }

  async #isArchive(match: SourceMatch, entry: SourceEntry): Promise<boolean> {
    return await isArchive(textPath(match.name), this.read(entry))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of [...this.#downloads.values(), ...this.#repositories]) await each[Symbol.asyncDispose]()
  }
}

function archiveNames({ name, entries }: SourceMatch, { archives }: Planned): readonly string[] {
  return entries.some((entry) => archives.has(entry)) ? [textPath(name)] : []
}

/** What the image has to say about an add: whose the files are, where the destination is, and whether it is a directory. */
interface Target {
  readonly destination: BytePath
  readonly owner: Owner | undefined
  readonly isDirectory: boolean
  readonly isThere: boolean
  /** Directories that have to be made for archives, the outermost first. */
  readonly missing: readonly BytePath[]
}

async function lookAt(step: AddStep, paths: RootPaths, workdir: string): Promise<Target> {
  const owner = step.chown === undefined ? undefined : await lookUpOwner(paths, step.chown)
  const place = await paths.resolve(destinationOf(workdir, step.destination))
  const isThere = isType(place.record, 'directory')
  const missing: BytePath[] = []
  for (let path = place.path; path !== '/' && !(await paths.stat(path)); path = parentOf(path)) missing.unshift(path)
  return { destination: place.path, owner, isDirectory: isThere || isDirectoryName(step.destination), isThere, missing }
}

/** With nothing known of what is below, an archive's destination is made, as that of a directory's content is. */
function linkTarget({ destination: given, chown }: AddStep, workdir: string): Target {
  const destination = destinationOf(workdir, given)
  const owner = chown === undefined ? undefined : numericOwner(chown)
  const missing = destination === '/' ? [] : [destination]
  return { destination, owner, isDirectory: isDirectoryName(given), isThere: false, missing }
}

/**
 * Everything of an add as entries of a layer, archives as what is in them. As in BuildKit, `chown` and `chmod` play no part in those, but the directories
 * that are made for them are whose `chown` says.
 */
async function* entriesOf(
  step: AddStep,
  planned: Planned,
  input: AddInput,
  target: Target,
  context: BuildContext,
): AsyncGenerator<LayerEntry> {
  const { destination, owner, missing } = target
  const hasArchives = planned.archives.size > 0
  if (hasArchives) yield* directoryEntries(missing, owner, context)
  for (const match of planned.matches) {
    const [entry] = match.entries
    if (entry && planned.archives.has(entry)) {
      yield* archiveEntries(textPath(match.name), input.read(entry), destination)
    } else {
      const isDirectory = target.isDirectory || planned.matches.length > 1
      const place = { destination, owner, isDirectory, isThere: target.isThere || hasArchives, chmod: step.chmod, time: context.epoch }
      yield* fileEntries({ ...planned, matches: [match] }, input, place, context)
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
      const commits = await input.commits()
      if (commits) yield { ...shared, commits, exclude: step.exclude ?? null, keepGitDir: step.keepGitDir ?? false }
      yield { ...shared, content: (await input.planned()).content }
    },
    async carryOut() {
      const { runtime, options, epoch } = context
      // What only shows when it is unpacked (a hard link to nothing, say) is an archive's, too, where there is one.
      const addedLayer = (entries: AsyncIterable<LayerEntry>) =>
        layerOf(() => entries, stage, context).catch((error: unknown) => {
          if (planned.archives.size === 0) throw error
          throw archiveDamaged(planned.matches.flatMap((match) => archiveNames(match, planned)).join(', '), error)
        })
      const planned = await input.planned()
      for (const each of planned.leftOut ?? []) context.onNotice?.(each)
      const { signal } = options
      if (link) return await addedLayer(entriesOf(step, planned, input, linkTarget(step, workdir), context))
      const layer = await runtime.openLayer(snapshotsOf(stage), { signal, scaffold: false })
      try {
        const agent = await layer.agent()
        const target = await lookAt(step, new RootPaths(agent), workdir)
        if (planned.archives.size > 0) return await addedLayer(entriesOf(step, planned, input, target, context))
        const upper = new Upper(new RootPaths(agent), {
          owner: target.owner,
          chmod: step.chmod,
          canChown: runtime.canChown,
          epoch: epoch ?? defaultEpoch,
          time: epoch,
        })
        await carryOutCopy(step, planned, upper, workdir, signal)
        return await upperLayer(upper, input, context)
      } finally {
        await layer.discard()
      }
    },
    [Symbol.asyncDispose]: () => input[Symbol.asyncDispose](),
  }
}
