import type { ImageData } from '../images/index.ts'
import { checkContainerOptions } from './check.ts'
import { launchContainer, launchedOf, type RunningContainer, settleContainer } from './launch.ts'
import type { ContainerOptions } from './options.ts'
import { type Launched, Process, type Stdio, usageOf } from './process.ts'
import { currentRuntime } from './runtime.ts'
import { argvOf } from './settings.ts'

/** Runs a command in a throw-away container of an image. */
export function execInImage(
  image: ImageData | Promise<ImageData>,
  command: string | readonly string[],
  options: ContainerOptions & { readonly encoding: 'buffer' },
): Process<Buffer>
export function execInImage(image: ImageData | Promise<ImageData>, command: string | readonly string[], options?: ContainerOptions): Process
export function execInImage(
  image: ImageData | Promise<ImageData>,
  command: string | readonly string[],
  options: ContainerOptions = {},
): Process<string | Buffer> {
  checkContainerOptions(options)
  const argv = argvOf(command)
  // The process rejects with its failure, or with another that came first: then nobody waits for it.
  if (image instanceof Promise) image.catch(() => undefined)
  const launch = async (stdio: Stdio, signal: AbortSignal | undefined): Promise<Launched> => {
    const [runtime, source] = [await currentRuntime(), image instanceof Promise ? await image : image]
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
  return new Process<string | Buffer>(argv, options, launch)
}
