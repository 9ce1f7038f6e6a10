import { setTimeout as delay } from 'node:timers/promises'
import { StrakeError } from '../errors/index.ts'
import type { ExecutionConfig } from '../images/index.ts'
import { type ContainerSpec, execPlan } from '../process/index.ts'
import type { Agent, Child, ChildExit } from '../zygote/index.ts'
import { openJoins } from './joins.ts'
import type { RunningContainer } from './launch.ts'
import { checkMapped } from './mapped.ts'
import type { CommandOptions, ContainerOptions } from './options.ts'
import { type Launched, type Stdio, usageOf } from './process.ts'
import { commandSpec } from './settings.ts'
import { userOfContainer } from './user.ts'

/** native/ops.h, SIGNAL_TO_ALL: the command with all that is in its process group. */
const toGroup = 256
/** Milliseconds for the news of a container's end to arrive. */
const endWait = 500

/** A command that joins a container may do what the container's own may. */
function confinementOf({ command }: ContainerSpec): Pick<ContainerOptions, 'capabilities' | 'seccomp' | 'noNewPrivileges'> {
  const { capabilities, seccomp, noNewPrivileges } = command
  return { capabilities: { drop: ['ALL'], add: [...capabilities] }, seccomp, noNewPrivileges }
}

/**
 * What a command meets when its container ends at that moment: there is nothing to join any more (ESRCH), or no process can be made in a pid
 * namespace whose first one is gone (ENOMEM, pid_namespaces(7)).
 */
async function explainEnd(running: RunningContainer, error: unknown): Promise<unknown> {
  if (!(error instanceof StrakeError) || error.code !== 'kernel_refused') return error
  const { op, errno } = error.details ?? {}
  const isGone = op === 'join' && errno === 'ESRCH'
  if (!isGone && !(op === 'fork' && errno === 'ENOMEM')) return error
  const hasEnded = isGone || (await Promise.race([running.child.ended.then(() => true), delay(endWait, false)]))
  return hasEnded ? new StrakeError('container_not_running', 'The container ended before the command was there.', { cause: error }) : error
}

/** Starts one more command in a running container. `inside` gives an agent that sees the container's files. */
export async function launchExec(
  running: RunningContainer,
  config: ExecutionConfig,
  argv: readonly string[],
  options: CommandOptions,
  stdio: Stdio,
  inside: () => Promise<Agent>,
): Promise<Launched> {
  const { zygote, child, cgroup, spec } = running
  // Read anew each time: on cgroup v1 a group grows when it gets its first limit of a kind.
  const joinPaths = cgroup?.joinPaths ?? []
  const user = await userOfContainer(inside, options.user ?? running.options.user ?? config.User)
  checkMapped(user, zygote.ids)
  const command = commandSpec(
    argv,
    { ...confinementOf(spec), ...options, env: { ...running.options.env, ...options.env } },
    {
      config: { ...config, WorkingDir: spec.command.cwd },
      user,
      hostname: spec.hostname,
      rlimits: spec.command.rlimits,
      processes: spec.command.processes,
    },
  )
  const plan = execPlan({
    container: child.id,
    cgroups: joinPaths.length,
    ids: spec.ids,
    arch: spec.arch,
    hasNetwork: spec.network !== 'host',
    time: spec.time,
    hasUsers: spec.users !== undefined,
    command,
  })
  const oomBefore = cgroup?.oomKills() ?? 0
  const joins = openJoins(joinPaths)
  let made: Child
  try {
    made = zygote.agent.start(
      plan.program,
      { ...stdio.fds, ...joins.fds },
      {
        onSent: () => {
          stdio.onSent()
          joins.close()
        },
      },
    )
  } catch (error) {
    joins.close()
    throw error
  }
  return {
    child: made,
    destroy: () => made.kill(9 + toGroup),
    where: () => ({ cwd: command.cwd, place: 'container' }),
    explain: (error) => explainEnd(running, error),
    settle: (exit: ChildExit) => {
      let oomKilled = false
      try {
        oomKilled = exit.signal === 'SIGKILL' && (cgroup?.oomKills() ?? 0) > oomBefore
      } catch {
        // The container ended meanwhile, and its cgroup with it.
      }
      return { oomKilled, usage: usageOf(exit) }
    },
  }
}
