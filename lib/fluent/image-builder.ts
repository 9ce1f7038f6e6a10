import {
  type AddOptions,
  addStep,
  argStep,
  type BaseInput,
  BuildError,
  type BuildOptions,
  buildImage,
  type CopyOptions,
  checkBuildOptions,
  cmdStep,
  copyStep,
  type DockerfileOptions,
  describeStep,
  dockerfileSteps,
  entrypointStep,
  envStep,
  exposeStep,
  formatDockerfile,
  fromStep,
  type Healthcheck,
  healthcheckStep,
  labelStep,
  type MemoryFiles,
  onbuildSteps,
  outlineOf,
  type RunOptions,
  runStep,
  type Step,
  shellStep,
  stopSignalStep,
  type ToDockerfileOptions,
  userStep,
  volumeStep,
  workdirStep,
} from '../build/index.ts'
import {
  buildRuntime,
  type ContainerOptions,
  checkStartOptions,
  currentRuntime,
  execInImage,
  imagePlan,
  type Process,
  type StartOptions,
} from '../containers/index.ts'
import { invalidOption, isRecord, kindOfValue } from '../errors/index.ts'
import type { ImageData } from '../images/index.ts'
import type { Plan } from '../sys/index.ts'
import type { SignalName } from '../zygote/index.ts'
import { type Container, FailedState, Image, type PlanOptions } from './handles.ts'
import { type Shown, shownBuild } from './progress/index.ts'

/** How an image is built. */
export type ImageBuildOptions = Shown<BuildOptions>

/**
 * The description of an image: an immutable list of steps. Every verb gives a new description and leaves this one as it was;
 * nothing runs until `build()`, `start()` or `exec()`. A wrong argument is refused at once, with `invalid_argument`.
 *
 * @example
 * const base = image('debian:12').run('apt-get update')
 * const one = base.run('apt-get install -y git')
 * const other = base.run('apt-get install -y curl') // shares the first two steps with `one`
 */
export class ImageBuilder {
  /** As plain data, the first one first. */
  readonly steps: readonly Step[]

  constructor(steps: readonly Step[] = []) {
    this.steps = Object.freeze([...steps])
  }

  #add(step: Step): ImageBuilder {
    return new ImageBuilder([...this.steps, step])
  }

  /**
   * What the image starts from, as its first step: a reference (`debian:12`), another image or description, `scratch` (nothing),
   * `host` (this machine's own shell and tools), `oci:dir:tag`, `oci-archive:file`, `docker-archive:file`, a root directory
   * (`./rootfs/`) or its tar (`./rootfs.tar.zst`).
   */
  from(base: BaseInput): ImageBuilder {
    return this.#add(fromStep(base))
  }

  /**
   * The description that a Dockerfile gives, as the first of the steps: what its instructions say as the verbs say it. Throws
   * `dockerfile_invalid` (its details: `line`, `column`), and `context_invalid` for a file that cannot be read.
   *
   * @example image().fromDockerfile({ path: './Dockerfile', context: '.', target: 'prod', args: { VERSION: '2' } })
   */
  fromDockerfile(options?: DockerfileOptions): ImageBuilder {
    if (this.steps.length > 0) throw invalidOption('fromDockerfile comes first: its FROM is the base.')
    return new ImageBuilder(dockerfileSteps(options))
  }

  /**
   * Runs a command in the image and keeps what it changed: a string by the image's shell, an argv as it is. `build()` rejects with
   * `build_failed` when it ends with another exit code than 0.
   *
   * @example image('host').run('echo hello > /greeting').run(['chmod', '600', '/greeting'], { user: 'root' })
   */
  run(command: string | readonly string[], options?: RunOptions): ImageBuilder {
    return this.#add(runStep(command, options))
  }

  /**
   * Copies files as COPY of a Dockerfile does: paths (or patterns) of the build context, files from memory, or, with
   * `{ from }`, another image's files. A directory's content is copied, not the directory. A destination that ends in `/` is a directory.
   * Files from memory have the time 1980-01-01 (or that of SOURCE_DATE_EPOCH), so that the digest is the same on another day: `touch` them before a
   * program that compares times, such as make(1) with a cache mount.
   *
   * @example image('host').copy('src', '/app/').copy({ 'etc/motd': 'hello\n', 'bin/x': { content: '#!/bin/sh\n', mode: 0o755 } }, '/')
   */
  copy(source: string | readonly string[] | MemoryFiles, destination: string, options?: CopyOptions): ImageBuilder {
    return this.#add(copyStep(source, destination, options))
  }

  /**
   * Adds files as ADD of a Dockerfile does: paths of the build context as `copy`, but tar archives (plain, or compressed by gzip, zstd, xz,
   * bzip2) are unpacked into the destination; URLs (http, https) are downloaded; of Git repositories (`https://….git#ref:directory`, `git@…`) the files of
   * a commit are added. `build()` rejects with `digest_mismatch` when `checksum` says otherwise.
   *
   * @example image('scratch').add('rootfs.tar.gz', '/').add('https://example.org/tool', '/usr/bin/', { checksum: 'sha256:…', chmod: 0o755 })
   */
  add(sources: string | readonly string[], destination: string, options?: AddOptions): ImageBuilder {
    return this.#add(addStep(sources, destination, options))
  }

  /**
   * Variables of later `run`s of this build, which are no part of the image: with a default, or undefined for one that is set only by
   * `build({ args })`, which wins. A variable of `env` of the same name wins over both.
   *
   * @example image('host').arg({ VERSION: '1.0' }).run('echo "$VERSION" > /version').build({ args: { VERSION: '2.0' } })
   */
  arg(variables: Readonly<Record<string, string | undefined>>): ImageBuilder {
    return this.#add(argStep(variables))
  }

  /** Instructions, each as in a Dockerfile, for builds that start from this image: carried out right after their `from`. FROM and ONBUILD are none. */
  onbuild(...instructions: readonly string[]): ImageBuilder {
    if (instructions.length === 0) throw invalidOption('onbuild needs an instruction.')
    return new ImageBuilder([...this.steps, ...instructions.flatMap(onbuildSteps)])
  }

  /** Where later steps and the image's containers start; made if it is missing. A relative path starts at the one before. */
  workdir(path: string): ImageBuilder {
    return this.#add(workdirStep(path))
  }

  /** Adds to the environment of later steps and of the image's containers. */
  env(variables: Readonly<Record<string, string>>): ImageBuilder {
    return this.#add(envStep(variables))
  }

  /** Who runs later steps and the image's containers: `name`, `uid`, `name:group` or `uid:gid`, looked up in the image. */
  user(user: string | number): ImageBuilder {
    return this.#add(userStep(user))
  }

  /** Adds labels to the image's config. */
  label(labels: Readonly<Record<string, string>>): ImageBuilder {
    return this.#add(labelStep(labels))
  }

  /** Ports that the image's containers listen on: `8080`, `'53/udp'`. */
  expose(...ports: (number | string)[]): ImageBuilder {
    return this.#add(exposeStep(ports))
  }

  /** Directories whose content belongs to the container and not to the image. */
  volume(...paths: string[]): ImageBuilder {
    return this.#add(volumeStep(paths))
  }

  /** What a container runs, before the words of its command. Takes the base image's `cmd` away. */
  entrypoint(command: string | readonly string[]): ImageBuilder {
    return this.#add(entrypointStep(command))
  }

  /** The command of a container that is given none. */
  cmd(command: string | readonly string[]): ImageBuilder {
    return this.#add(cmdStep(command))
  }

  /** The signal that asks a container to stop; `SIGTERM` unless told. */
  stopSignal(signal: SignalName | number): ImageBuilder {
    return this.#add(stopSignalStep(signal))
  }

  /** The argv that a command given as a string is put behind; `['/bin/sh', '-c']` unless told. */
  shell(argv: readonly string[]): ImageBuilder {
    return this.#add(shellStep(argv))
  }

  /** How it is found out whether a container of the image is well, as in its config; the engine itself does not ask. */
  healthcheck(check: Healthcheck): ImageBuilder {
    return this.#add(healthcheckStep(check))
  }

  /**
   * Applies a function of your own, which gives a description: how several steps get one name.
   *
   * @example
   * const greets = (name: string) => (image: ImageBuilder) => image.env({ NAME: name }).cmd('echo "hello $NAME"')
   * image('host').with(greets('you'))
   */
  with(change: (image: ImageBuilder) => ImageBuilder): ImageBuilder {
    if (typeof change !== 'function') throw invalidOption(`with takes a function, not ${kindOfValue(change)}.`)
    const changed: unknown = change(this)
    if (isBuilder(changed)) return changed
    const what = changed instanceof Promise ? 'a promise' : kindOfValue(changed)
    throw invalidOption(`with takes a function that returns a description, as the verbs do: this one returned ${what}.`)
  }

  /**
   * Builds the image: every step that is not in the cache is carried out. Rejects with `build_failed` (a `BuildError`: its `state` is the
   * image before the step that failed), `aborted`, `context_invalid`, `path_escapes`, `image_not_found`, `store_full`, …; `details.step` of each but
   * `aborted` is the step.
   *
   * @example const built = await image('host').run('date > /built').build({ tag: 'app' })
   */
  async build(options: ImageBuildOptions = {}): Promise<Image> {
    return await shownBuild(options, (own) => this.#build(own))
  }

  async #build(options: BuildOptions): Promise<Image> {
    checkBuildOptions(options)
    const runtime = await currentRuntime()
    using _ = runtime.store.hold()
    try {
      return new Image(await buildImage(this.steps, options, await buildRuntime(runtime)))
    } catch (error) {
      if (!(error instanceof BuildError)) throw error
      const { hint, cause, details } = error
      throw new BuildError(error.reason, { state: new FailedState(error.state as ImageData), hint, cause, details })
    }
  }

  /** Builds, then starts a container of the result. */
  async start(options: StartOptions = {}): Promise<Container> {
    checkStartOptions(options)
    return (await this.build({ signal: options.signal })).start(options)
  }

  /** Builds, then runs a command in a throw-away container of the result. */
  exec(command: string | readonly string[], options: ContainerOptions & { readonly encoding: 'buffer' }): Process<Buffer>
  exec(command: string | readonly string[], options?: ContainerOptions): Process
  exec(command: string | readonly string[], options: ContainerOptions = {}): Process<string | Buffer> {
    return execInImage(async () => (await this.build({ signal: options.signal })).data, command, options)
  }

  /**
   * The program of the container that `start` would make, as far as it is known before the build: a step that makes a layer stands as
   * `step-N`, and of the base only what this description says. Nothing is built or run.
   */
  plan(options: PlanOptions = {}): Plan {
    return imagePlan(outlineOf(this.steps), options)
  }

  /**
   * The description as a Dockerfile: `docker build` makes of it what `build()` makes of the description. Builds that it starts or copies from
   * are its stages; files from memory are heredocs. Throws `dockerfile_invalid` for what no Dockerfile can say: `from('host')`, a `run` with
   * `env`, `cwd`, `user` or `timeout`, files that are no text (unless `onFile` takes them).
   *
   * @example image('debian:12').run('apt-get update').cmd(['sh']).toDockerfile() // 'FROM debian:12\nRUN apt-get update\nCMD ["sh"]\n'
   */
  toDockerfile(options?: ToDockerfileOptions): string {
    return formatDockerfile(this.steps, options)
  }

  /** The steps, one a line, as a Dockerfile would have them. */
  toString(): string {
    return this.steps.map(describeStep).join('\n')
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.steps.length === 0 ? 'image()' : `image() {\n  ${this.steps.map(describeStep).join('\n  ')}\n}`
  }
}

/** Of whatever copy of the library: the package has one for `import` and one for `require`. */
function isBuilder(value: unknown): value is ImageBuilder {
  return isRecord(value) && Array.isArray(value.steps) && typeof value.build === 'function'
}

/**
 * Describes an image; nothing runs until a terminal verb. `image('debian:12')` is `image().from('debian:12')`.
 *
 * @example image().from('host').run('date > /built').cmd(['cat', '/built'])
 */
export function image(base?: BaseInput): ImageBuilder {
  return base === undefined ? new ImageBuilder() : new ImageBuilder().from(base)
}
