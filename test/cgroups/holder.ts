// A process that makes a group with a sleeper in it, says so, and waits to be killed: the other half of a test in cgroups.test.ts.
import { openCgroups } from '../../lib/cgroups/index.ts'
import { spawnInside } from './inside.ts'

const cgroups = await openCgroups()
const group = cgroups.create('held')
const { child } = spawnInside(group, ['sleep', '300'])
while (group.pids().length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
console.log(JSON.stringify({ paths: group.joinPaths, pid: child.pid }))
setInterval(() => {}, 1000)
