import { flags, type Op } from '../sys/index.ts'
import { type Agent, startAgent } from '../zygote/index.ts'
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
  const ops: Op[] = [
    { op: 'join', child: running.child.id, flags: CLONE.CLONE_NEWNS },
    { op: 'chdir', path: '/' },
    { op: 'capBounding', keep },
    { op: 'capSet', effective: keep, permitted: keep, inheritable: 0 },
    { op: 'noNewPrivs' },
    { op: 'serve', fd: 'channel' },
  ]
  return (await startAgent(running.zygote.agent, { clone: 0, ops })).connection
}
