import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { invalidOption, isRecord, kindOfValue, StrakeError } from '../errors/index.ts'
import { unpackLayer } from '../layers/index.ts'
import { type ByteStream, hintOfRead, openGiven, readShortSync } from '../store/index.ts'
import { ContextDirectory } from './files/context-directory.ts'
import { invalid } from './files/context-errors.ts'
import { DigestCache } from './files/digest-cache.ts'
import type { FileSource, PathFilter } from './files/entry.ts'
import { BothFilters, ListedPaths } from './files/filters.ts'
import { IgnorePatterns } from './files/ignore.ts'
import { ImageFiles } from './files/image-files.ts'
import { ContextMemory } from './files/memory.ts'
import type { BuildLayer, BuildRuntime } from './runtime.ts'
import { type MemoryFiles, memoryFiles, relativePath } from './steps/copy.ts'

/**
 * What a build takes files from: a directory, files of a directory and nothing else of it, a tar (a file, bytes, a stream), or files from memory.
 * A `.dockerignore` in it says what of it is not there; in place of a directory's `ignore` does: patterns, or false for none.
 */
export type ContextInput =
  | string
  | { readonly directory: string; readonly ignore?: readonly string[] | false | undefined }
  | { readonly files: readonly string[]; readonly root?: string | undefined }
  | { readonly tar: string | Uint8Array | AsyncIterable<Uint8Array> }
  | { readonly memory: MemoryFiles }

/** Bytes that a .dockerignore beside a Dockerfile may have. */
const longestIgnore = 16 * 1024 * 1024

/** One of these, and what goes with it. */
const shapes: Readonly<Record<string, readonly string[]>> = { directory: ['ignore'], files: ['root'], tar: [], memory: [] }

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

/** Refuses what is no context, before anything is done. Throws `invalid_argument`, `path_escapes`. */
export function checkContext(context: unknown): void {
  if (typeof context === 'string' && context !== '') return
  const names = isRecord(context) ? Object.keys(context) : []
  const kind = names.find((name) => name in shapes)
  const odd = names.find((name) => name !== kind && !shapes[kind ?? '']?.includes(name))
  if (!isRecord(context) || kind === undefined || odd !== undefined)
    throw invalidOption(
      `context must be the path of a directory, { directory }, { files }, { tar } or { memory }, not ${context === '' ? "''" : (odd ?? kindOfValue(context))}.`,
    )
  const { directory, ignore, files, root, tar, memory } = context
  for (const [name, value] of Object.entries({ directory, root }))
    if (value !== undefined && (typeof value !== 'string' || value === ''))
      throw invalidOption(`context.${name} must be the path of a directory.`)
  if (ignore !== undefined && ignore !== false && !isTexts(ignore))
    throw invalidOption('context.ignore must be an array of patterns, or false.')
  if (files !== undefined && !isTexts(files)) throw invalidOption('context.files must be an array of paths.')
  for (const file of isTexts(files) ? files : []) relativePath('context.files', file)
  if (
    kind === 'tar' &&
    !(typeof tar === 'string' || tar instanceof Uint8Array || (typeof tar === 'object' && tar !== null && Symbol.asyncIterator in tar))
  )
    throw invalidOption('context.tar must be the path of a file, bytes or a stream.')
  if (kind === 'memory') memoryFiles(memory as MemoryFiles)
}

/**
 * What the `.dockerignore` of a context leaves out. A link out of the context is not followed here either: what it leads to would turn up in
 * messages.
 */
async function ignoreFile(source: FileSource): Promise<PathFilter | undefined> {
  const [file] = (await source.find('.dockerignore')).flatMap(({ entries }) => entries)
  if (!file) return undefined
  if (file.kind !== 'file') throw invalid('.dockerignore', 'is no file')
  const pieces: Buffer[] = []
  for await (const piece of source.read(file)) pieces.push(piece)
  return IgnorePatterns.parse(Buffer.concat(pieces).toString())
}

async function ignoreFileIn(directory: string, filter?: PathFilter): Promise<PathFilter | undefined> {
  await using source = new ContextDirectory(directory, filter)
  return await ignoreFile(source)
}

/** The context of a Dockerfile: what `DOCKERFILE.dockerignore` leaves out, where there is such a file, in place of the .dockerignore. */
export function contextOfDockerfile(directory: string, dockerfile: string | undefined): ContextInput {
  const path = dockerfile === undefined ? undefined : `${dockerfile}.dockerignore`
  if (path === undefined || !existsSync(path)) return directory
  try {
    const refused = (kind: string): StrakeError =>
      new StrakeError('context_invalid', `${path} is ${kind}, not a file`, {
        hint: 'write what it would leave out into a file; an empty one leaves out nothing',
        details: { path },
      })
    const text = readShortSync(path, longestIgnore, refused)
    if (text.length <= longestIgnore) return { directory, ignore: text.toString().split(/\r?\n/) }
    throw new StrakeError('limit_exceeded', `${path} has more than ${longestIgnore} bytes`, { details: { limit: longestIgnore } })
  } catch (cause) {
    if (cause instanceof StrakeError) throw cause
    throw new StrakeError('context_invalid', `${path} cannot be read`, { cause, details: { path } })
  }
}

async function* bytesOf(stream: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const piece of stream) {
    if (!(piece instanceof Uint8Array))
      throw new StrakeError('context_invalid', `the tar of the build context gives ${kindOfValue(piece)}, not bytes`, {
        hint: 'a stream of texts has lost what is no UTF-8: take the encoding away from it',
      })
    yield piece
  }
}

function refuseUsed(stream: AsyncIterable<unknown>): void {
  if (stream instanceof Readable && (stream.readableDidRead || stream.destroyed))
    throw new StrakeError('context_invalid', 'the tar of the build context is a stream that was read before', {
      hint: 'a stream can be read once: give each build one of its own, or the file, or the bytes',
    })
}

/** A file is opened here, so that one that is not there is told as such. */
async function streamOf(tar: string | Uint8Array | AsyncIterable<Uint8Array>): Promise<ByteStream> {
  if (tar instanceof Uint8Array) return [tar]
  if (typeof tar !== 'string') {
    refuseUsed(tar)
    return bytesOf(tar)
  }
  const file = await openGiven(
    tar,
    (kind) =>
      new StrakeError('context_invalid', `the tar of the build context, ${tar}, is ${kind}, not a file`, {
        hint: 'context.tar takes a stream, too',
        details: { path: tar },
      }),
  )
  return file.createReadStream()
}

/** The contexts of one build, each opened when it is first needed, once: a stream can be read only once. */
export class ContextFiles implements AsyncDisposable {
  readonly #runtime: BuildRuntime
  readonly #signal: AbortSignal | undefined
  readonly #opened = new Map<ContextInput, Promise<FileSource>>()

  constructor(runtime: BuildRuntime, signal?: AbortSignal) {
    this.#runtime = runtime
    this.#signal = signal
  }

  /** Rejects with `context_invalid`; for a tar also as layers that come from elsewhere do, with `path_escapes`, `limit_exceeded`. */
  open(input: ContextInput = process.cwd()): Promise<FileSource> {
    const opened = this.#opened.get(input) ?? this.#open(input)
    this.#opened.set(input, opened)
    return opened
  }

  async #open(input: ContextInput): Promise<FileSource> {
    if (typeof input === 'string') return await this.#directory(input, await ignoreFileIn(input))
    if ('directory' in input) {
      const { directory, ignore } = input
      const filter = ignore === undefined ? await ignoreFileIn(directory) : ignore === false ? undefined : new IgnorePatterns(ignore)
      return await this.#directory(directory, filter)
    }
    if ('files' in input) return await this.#listed(input.files, input.root ?? process.cwd())
    if ('memory' in input) {
      const files = memoryFiles(input.memory)
      return new ContextMemory(files, await ignoreFile(new ContextMemory(files)))
    }
    return await this.#unpack(input.tar)
  }

  async #directory(path: string, filter: PathFilter | undefined): Promise<FileSource> {
    const source = new ContextDirectory(path, filter)
    source.use(await DigestCache.open(this.#runtime.store, source.root))
    return source
  }

  async #listed(files: readonly string[], root: string): Promise<FileSource> {
    const directory = new ContextDirectory(root)
    const paths = files.flatMap((path) => {
      const found = directory.locate(relativePath('context.files', path))
      if (found.length > 0) return found
      throw new StrakeError('context_invalid', `the build context has no ${JSON.stringify(path)}, and its files name it`, {
        hint: `paths of context.files are relative to its root, here ${root}`,
        details: { path },
      })
    })
    const listed = new ListedPaths(paths)
    const ignored = await ignoreFileIn(root, listed)
    return await this.#directory(root, ignored ? new BothFilters(listed, ignored) : listed)
  }

  /** A tar is unpacked as a layer is: by a process that sees nothing but the directory in which it writes. */
  async #unpack(tar: string | Uint8Array | AsyncIterable<Uint8Array>): Promise<FileSource> {
    const layer = await this.#runtime.openLayer([], { signal: this.#signal, scaffold: false })
    try {
      return await this.#unpackInto(layer, await streamOf(tar))
    } catch (error) {
      await layer.discard()
      if (error instanceof StrakeError && error.code !== 'layer_invalid') throw error
      const path = typeof tar === 'string' ? tar : undefined
      const why = error instanceof StrakeError ? `: ${error.message.split('\n')[0]}` : ''
      throw new StrakeError(
        'context_invalid',
        `the tar of the build context${path === undefined ? '' : `, ${path},`} cannot be read${why}`,
        {
          cause: error,
          hint: error instanceof StrakeError ? error.hint : path === undefined ? undefined : hintOfRead(error),
          details: { ...(error instanceof StrakeError ? error.details : {}), ...(path === undefined ? {} : { path }) },
        },
      )
    } finally {
      if (tar instanceof Readable) tar.destroy()
    }
  }

  async #unpackInto(layer: BuildLayer, content: ByteStream): Promise<FileSource> {
    await mkdir(`${layer.directory.path}/context`, { recursive: true, mode: 0o700 })
    const agent = await this.#runtime.agentFor(`${layer.directory.zygotePath}/context`)
    const release = async (): Promise<void> => {
      await agent.close()
      await layer.discard()
    }
    try {
      await unpackLayer(content, agent, { ownership: false, signal: this.#signal })
      const files = new ImageFiles(agent, release, { isContext: true })
      const filter = await ignoreFile(files)
      return filter ? new ImageFiles(agent, release, { isContext: true, filter }) : files
    } catch (error) {
      await agent.close()
      throw error
    } finally {
      if (content instanceof Readable) content.destroy()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opened of this.#opened.values()) await (await opened.catch(() => undefined))?.[Symbol.asyncDispose]()
  }
}
