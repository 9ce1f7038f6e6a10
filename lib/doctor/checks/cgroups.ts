import { openCgroups } from '../../cgroups/index.ts'
import { bad, type Check, good } from '../check.ts'

/** Can containers be limited? Without cgroups memory and pids are held by rlimits, cpus not at all. */
export function cgroupChecks(): readonly Check[] {
  return [
    {
      name: 'cgroups',
      needed: false,
      run: async () => {
        const cgroups = await openCgroups()
        try {
          const controllers = [...cgroups.controllers].join(', ')
          if (cgroups.problem === undefined) return good(`${cgroups.kind}: ${controllers}`)
          const detail = controllers === '' ? cgroups.problem : `${cgroups.kind}: ${controllers}; ${cgroups.problem}`
          return bad(detail, cgroups.fix ?? 'Run on a machine with cgroup v2.')
        } finally {
          cgroups.close()
        }
      },
    },
  ]
}
