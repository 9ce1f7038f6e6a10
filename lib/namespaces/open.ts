import { requireLinux } from '../../native/binding.ts'
import { StrakeError } from '../errors/index.ts'
import { type IdRange, idRange } from '../ids/index.ts'
import { flags, type Op, type SystemCalls, systemCalls } from '../sys/index.ts'
import { type Connection, launchAgent } from '../zygote/index.ts'
import { kindsOf, type NamespaceLink, type NamespaceOptions, namespacesOfProcess } from './kinds.ts'

/** New namespaces, held by an agent process that lives in them. */
export interface OpenNamespaces {
  readonly agent: Connection
  readonly calls: SystemCalls
  readonly ids: IdRange | undefined
  /** Throws `zygote_lost` once the agent has ended. */
  links(): readonly NamespaceLink[]
}

/** The agent is a process of its own: a time or pid namespace takes effect for it since it is cloned into it. */
export async function openNamespaces(options: NamespaceOptions): Promise<OpenNamespaces> {
  requireLinux()
  const clone = kindsOf(options)
  const ids = options.user ? await idRange() : undefined
  let agent: Connection
  try {
    agent = await launchAgent({ clone, ids })
  } catch (error) {
    const isRefused = error instanceof StrakeError && error.details?.errno === 'EPERM'
    if (!isRefused || options.user) throw error
    throw new StrakeError('kernel_refused', 'Only root may make these namespaces without a user namespace.', {
      hint: 'Ask for one too: ns({ user: true, … }).',
      cause: error,
      details: error.details,
    })
  }
  try {
    // An ordinary user's agent without a user namespace could not be looked at, not even by that user (PR_SET_DUMPABLE, prctl(2)).
    if (!options.user) await agent.run([{ op: 'setDumpable', value: 1 }])
    // As unshare(1) does: what is mounted here is not to show outside.
    if (options.mount) await agent.run([{ op: 'mount', target: '/', flags: flags.MS.MS_REC | flags.MS.MS_PRIVATE }])
  } catch (error) {
    await agent.close()
    throw error
  }
  const run = async (op: Op): Promise<unknown> => (await agent.runKeeping([op])).results[0]
  const links = (): readonly NamespaceLink[] => {
    // Its process may still be there for a moment.
    if (!agent.isOpen) throw new StrakeError('zygote_lost', 'The agent has ended, and its namespaces with it.')
    return namespacesOfProcess(agent.pid)
  }
  return { agent, calls: systemCalls(run), ids, links }
}
