import { killEach, removeGroups, signalAll } from './drain.ts'
import { groupsIn, read, write } from './files.ts'
import { isDead } from './owner.ts'

/**
 * Removes the groups of owners that are gone, and whatever still runs in them. `parents` are the `strake/` directories. What cannot be removed
 * (another user's, a process stuck in the kernel) is left for a later sweep.
 */
export async function sweep(parents: readonly string[]): Promise<void> {
  const dead = parents.flatMap((parent) =>
    groupsIn(parent)
      .filter(isDead)
      .map((name) => `${parent}/${name}`),
  )
  await Promise.all(
    dead.map(async (directory) => {
      try {
        // What was frozen when its owner died (cgroup v1) takes the signal, and ends once it is thawed.
        const frozen = groupsIn(directory).filter((name) => read(`${directory}/${name}/freezer.state`)?.startsWith('FR'))
        if (frozen.length > 0) signalAll([directory])
        for (const name of frozen) write(`${directory}/${name}/freezer.state`, 'THAWED', ['ENOENT', 'ENODEV'])
        await removeGroups(directory, () => killEach([directory], undefined, 1000))
      } catch {
        // Sweeping is a courtesy to another, dead process: its failure must not keep this one from starting.
      }
    }),
  )
}
