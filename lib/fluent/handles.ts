import {
  type ContainerOptions,
  checkStartOptions,
  currentRuntime,
  execInImage,
  imagePlan,
  layersOf,
  type Process,
  Container as RunningContainer,
  type SnapshotOptions,
  type StartOptions,
  snapshot,
} from '../containers/index.ts'
import { StrakeError } from '../errors/index.ts'
import {
  checkExportOptions,
  checkSaveOptions,
  type ExecutionConfig,
  type ExportOptions,
  exportRootfs,
  type HistoryEntry,
  type ImageData,
  type ImageLayer,
  Images,
  parsePlatform,
  type SaveOptions,
  type SaveTarget,
  saveImage,
} from '../images/index.ts'
import { type PushOptions, type PushResult, pushImage } from '../registry/index.ts'
import type { Op, Plan } from '../sys/index.ts'
import { confined } from '../zygote/index.ts'
import { type Shown, shownTransfer } from './progress/index.ts'

/** How an image is pushed. */
export type ImagePushOptions = Shown<PushOptions>

export interface ImageSaveOptions extends Omit<SaveOptions, 'platform'> {
  /** Of a multi-platform image this one only: `linux/arm64`. */
  readonly platform?: string | undefined
}

export type PlanOptions = StartOptions & { readonly argv?: readonly string[] | undefined }

/**
 * An image in the store: values, and what can be done with it. Immutable; another image may get its tags.
 *
 * @example
 * const built = await image().from('host').cmd(['date']).build({ tag: 'clock' })
 * console.log(built.digest, built.layers.length, (await built.exec(['date'])).stdout)
 */
export class Image {
  /** All of it as plain data. */
  readonly data: ImageData

  constructor(data: ImageData) {
    this.data = data
  }

  /** Of the manifest: `sha256:…`. */
  get digest(): string {
    return this.data.digest
  }

  /** Of the config: what `docker images` shows. */
  get id(): string {
    return this.data.id
  }

  /** When this handle was made; `images.get` tells them anew. */
  get tags(): readonly string[] {
    return this.data.tags
  }

  /** What its containers run, and how: the `config` of the OCI image config. */
  get config(): ExecutionConfig {
    return this.data.config
  }

  /** Bottom first. */
  get layers(): readonly ImageLayer[] {
    return this.data.layers
  }

  /** How each layer was made, the first one first. */
  get history(): readonly HistoryEntry[] {
    return this.data.history
  }

  /** Bytes of all its blobs. */
  get size(): number {
    return this.data.size
  }

  /** The operating system and processor that it is for. */
  get platform(): ImageData['platform'] {
    return this.data.platform
  }

  /** Gives it one more name, taken from whatever image had it. Rejects with `invalid_reference`. */
  async tag(name: string): Promise<Image> {
    const images = new Images((await currentRuntime()).store)
    await images.tag(this.data, name)
    return new Image(await images.get(this.digest))
  }

  /**
   * Sends it to a registry under a tag: what is there already is not sent again. Layers made by builds, which the store has uncompressed, are compressed on
   * their way. Rejects with `registry_unauthorized`, `registry_denied`, `registry_unavailable`, `registry_protocol`, `invalid_reference`, `aborted`.
   *
   * @example await built.push('127.0.0.1:5000/app:2', { auth: { username: 'me', password } })
   */
  async push(reference: string, options: ImagePushOptions = {}): Promise<PushResult> {
    return await shownTransfer('push', reference, options, async (own: PushOptions) =>
      pushImage((await currentRuntime()).store, this.data, reference, own),
    )
  }

  /**
   * Writes it into a file, or a stream: what `docker load`, `podman load`, `skopeo` and `images.load` take. All platforms of a multi-platform image,
   * unless `platform` chooses one. The same image gives the same bytes. Rejects with `invalid_argument`, `image_not_found`, `store_invalid`, `output_failed`,
   * `store_full`, `aborted`.
   *
   * @example await built.save('app.tar', { format: 'docker-archive', tags: ['app:2'] })
   */
  async save(target: SaveTarget, options: ImageSaveOptions = {}): Promise<void> {
    checkSaveOptions(options)
    const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
    await saveImage((await currentRuntime()).store, this.data, target, { ...options, platform })
  }

  /**
   * Writes its file system as one tar, without the layers and without how it is run: what `images.import` takes. Reproducible; times later than
   * `SOURCE_DATE_EPOCH` become that. Rejects with `invalid_argument`, `store_invalid`, `output_failed`,
   * `store_full`, `aborted`.
   *
   * @example await built.export('rootfs.tar.gz', { compress: 'gzip' })
   */
  async export(target: SaveTarget, options: ExportOptions = {}): Promise<void> {
    checkExportOptions(options)
    const runtime = await currentRuntime()
    using _ = runtime.store.hold()
    await layersOf(runtime, this.data, options.signal)
    const zygote = await runtime.zygote()
    const place = { agentFor: (root: string | readonly Op[]) => confined(zygote, root), ownership: zygote.ids.kind !== 'single' }
    await exportRootfs(runtime.store, this.data, place, target, options)
  }

  /** Starts a container with the image's command, or that of the options. It is yours: `await using`, or `remove()`. */
  async start(options: StartOptions = {}): Promise<Container> {
    return Container.launch(Container, this.data, options)
  }

  /** Runs a command in a throw-away container. A string goes to the image's shell. */
  exec(command: string | readonly string[], options: ContainerOptions & { readonly encoding: 'buffer' }): Process<Buffer>
  exec(command: string | readonly string[], options?: ContainerOptions): Process
  exec(command: string | readonly string[], options: ContainerOptions = {}): Process<string | Buffer> {
    return execInImage(this.data, command, options)
  }

  /** The program of the container that `start` would make. Nothing runs. */
  plan(options: PlanOptions = {}): Plan {
    return imagePlan(this.data, options)
  }

  toJSON(): ImageData {
    return this.data
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const name = this.tags.length > 0 ? `${this.tags.join(', ')} ` : ''
    return `Image { ${name}${this.digest.slice(0, 19)}, ${this.layers.length} layer${this.layers.length === 1 ? '' : 's'}, ${megabytes(this.size)} }`
  }
}

/**
 * The image before the step that a build failed with, to start and look around in: where it says nothing of what it runs, that is `/bin/sh`, as of
 * `image('host')`, and what reads its stdin, as a shell does, waits there until it is told more.
 */
export class FailedState extends Image {
  override async start(options: StartOptions = {}): Promise<Container> {
    checkStartOptions(options)
    const { Entrypoint = [], Cmd = [] } = this.config
    const isSilent = options.cmd === undefined && options.entrypoint === undefined && Entrypoint.length + Cmd.length === 0
    try {
      return await super.start({
        ...options,
        ...(isSilent ? { cmd: ['/bin/sh'] } : {}),
        ...(options.stdin === undefined && !options.tty ? { stdin: 'pipe' } : {}),
      })
    } catch (error) {
      if (!isSilent || !(error instanceof StrakeError) || error.code !== 'command_not_found') throw error
      throw new StrakeError('command_not_found', 'the image before the step that failed has no /bin/sh', {
        hint: "start({ cmd }) runs a program that it has; export('state.tar') gives its files",
        cause: error,
        details: error.details,
      })
    }
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

/**
 * A running container. Whoever started it owns it: `await using`, or `remove()`. It never outlives this process.
 *
 * @example
 * await using container = await built.start({ cmd: ['sleep', '60'], memory: '64m' })
 * const { stdout } = await container.exec(['hostname'])
 */
export class Container extends RunningContainer {
  /**
   * An image whose top layer is what the container wrote: of a running one while everything in it is frozen. Rejects with
   * `timed_out` when something in there cannot be stopped.
   */
  async snapshot(options: SnapshotOptions = {}): Promise<Image> {
    return new Image(await snapshot(this, options))
  }
}
