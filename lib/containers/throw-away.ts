import type { ImageData } from '../images/index.ts'
import { checkContainerOptions } from './check.ts'
import { launchContainer, launchedOf, type RunningContainer, settleContainer } from './launch.ts'
import type { ContainerOptions } from './options.ts'
import { type Launch, type Launched, Process, type Stdio, usageOf } from './process.ts'
import { processOf } from './refused.ts'
import { currentRuntime } from './runtime.ts'
import { argvOf } from './settings.ts'

/** Runs a command in a throw-away container of an image, or of one that is made for it, once the options are known to be right. */
export function execInImage(
  image: ImageData | (() => Promise<ImageData>),
  command: string | readonly string[],
  options: ContainerOptions & { readonly encoding: 'buffer' },
): Process<Buffer>
export function execInImage(
  image: ImageData | (() => Promise<ImageData>),
  command: string | readonly string[],
  options?: ContainerOptions,
): Process
export function execInImage(
  image: ImageData | (() => Promise<ImageData>),
  command: string | readonly string[],
  options: ContainerOptions = {},
): Process<string | Buffer> {
  return processOf(() => {
    checkContainerOptions(options)
    const argv = argvOf(command)
    return new Process<string | Buffer>(argv, options, launcherOf(image, argv, options))
  })
}

function launcherOf(image: ImageData | (() => Promise<ImageData>), argv: readonly string[], options: ContainerOptions): Launch {
  return async (stdio: Stdio, signal: AbortSignal | undefined): Promise<Launched> => {
    const [runtime, source] = [await currentRuntime(), typeof image === 'function' ? await image() : image]
    const directory = runtime.newDirectory()
    let made: RunningContainer
    try {
      made = await launchContainer(runtime, { image: source, argv, options, directory }, stdio, signal)
    } catch (error) {
      await runtime.remove(directory)
      throw error
    }
    return {
      ...launchedOf(made, () => made.child.kill(9)),
      settle: async (exit, failed) => {
        const settled = made.cgroup ? await settleContainer(made, exit) : { oomKilled: false, usage: usageOf(exit) }
        if (failed) await runtime.remove(directory)
        else runtime.removeSoon(directory)
        return settled
      },
    }
  }
}
