import { binding, closeFd } from '../../native/binding.ts'
import { kernelRefused, type Program } from '../sys/index.ts'
import type { Child } from './agent.ts'
import { Connection } from './connection.ts'

/**
 * Starts a child that is an agent itself: its program ends with `serve`, on the slot `channel`. It does not keep the event loop alive, and ends
 * with its socket. Rejects with `kernel_refused`, `zygote_lost`.
 */
export async function startAgent(
  parent: Connection,
  program: Program,
): Promise<{ readonly connection: Connection; readonly child: Child }> {
  const [here, there] = binding().channel()
  if (here < 0) throw kernelRefused([], -1, -here)
  let child: Child
  try {
    child = parent.start(program, { channel: there }, { isBackground: true, onSent: () => closeFd(there) })
  } catch (error) {
    closeFd(here)
    closeFd(there)
    throw error
  }
  const connection = new Connection(here)
  try {
    // The child closes its end when an op fails: `started` says which, the connection only that it is gone.
    await Promise.race([connection.ready, child.started])
    return { connection, child }
  } catch (error) {
    // Its end is told by the parent, which is not listened to for the sake of a background child.
    const release = parent.hold()
    await connection.close()
    await child.ended
    release()
    throw await child.started.then(
      () => error,
      (reason: unknown) => reason,
    )
  }
}
