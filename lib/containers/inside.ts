import type { ContainerSpec } from '../process/index.ts'
import { overlayOps } from '../rootfs/index.ts'
import { flags, type Op } from '../sys/index.ts'
import { type Agent, confined, startAgent, type Zygote } from '../zygote/index.ts'
import type { RunningContainer } from './launch.ts'

/** What an agent is asked for. */
export type Access = 'read' | 'write'

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

let viewCount = 0

/**
 * An agent over the files of a container that has ended. To read, what it wrote is one more layer; to write, it is the upper again, with a
 * work directory of its own: a volatile overlay is mounted once with one.
 */
export async function stoppedAgent(zygote: Zygote, spec: Pick<ContainerSpec, 'directory' | 'layers'>, access: Access): Promise<Agent> {
  const upper = `${spec.directory}/upper`
  if (access === 'read') return confined(zygote, overlayOps({ lowers: [upper, ...spec.layers] }))
  viewCount += 1
  const work = `${spec.directory}/view${viewCount}`
  return confined(zygote, [{ op: 'mkdir', path: work, mode: 0o700 }, ...overlayOps({ lowers: spec.layers, upper, work, volatile: true })])
}
