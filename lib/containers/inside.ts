import { binding, closeFd } from '../../native/binding.ts'
import { flags, kernelRefused, type Op } from '../sys/index.ts'
import { type Agent, Connection } from '../zygote/index.ts'
import type { RunningContainer } from './launch.ts'

const { CLONE, CAP } = flags
const keep = (['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_SETFCAP'] as const).reduce(
  (sum, name) => sum + 2 ** CAP[name],
  0,
)

/**
 * An agent in a running container's mount namespace, with its root as `/`: paths are resolved as in the container. It is
 * in no pid namespace of the container's, which cannot see it, and runs nothing of the image.
 */
export async function insideAgent(running: RunningContainer): Promise<Agent> {
  const [here, there] = binding().channel()
  if (here < 0) throw kernelRefused([], -1, -here)
  const ops: Op[] = [
    { op: 'join', child: running.child.id, flags: CLONE.CLONE_NEWNS },
    { op: 'chdir', path: '/' },
    { op: 'capBounding', keep },
    { op: 'capSet', effective: keep, permitted: keep, inheritable: 0 },
    { op: 'noNewPrivs' },
    { op: 'serve', fd: 'channel' },
  ]
  const connection = new Connection(here)
  const child = running.zygote.agent.start({ clone: 0, ops }, { channel: there }, { isBackground: true, onSent: () => closeFd(there) })
  try {
    await Promise.race([connection.ready, child.started])
    return connection
  } catch (error) {
    await connection.close()
    await child.ended
    throw await child.started.then(
      () => error,
      (reason: unknown) => reason,
    )
  }
}
