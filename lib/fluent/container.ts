import { Container as RunningContainer, snapshot, type SnapshotOptions } from '../containers/index.ts'
import { Image } from './image.ts'

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
