import { readFileSync } from 'node:fs'
import type { ChildExit } from './agent.ts'

type Usage = ChildExit['usage']

/** Of a clock tick, in which proc(5) counts: USER_HZ is 100 on every architecture that Node runs on. */
const tickMicros = 10_000
/** Of a tree of processes; a fork bomb has more than anyone would wait for. */
const mostProcesses = 64

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}

function usageOfOne(pid: number): Usage | undefined {
  const stat = read(pid, 'stat')
  // The name comes in parentheses and may hold anything, parentheses too.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map(Number)
  if (user === undefined || system === undefined || childrenUser === undefined || childrenSystem === undefined) return undefined
  return {
    userMicros: (user + childrenUser) * tickMicros,
    systemMicros: (system + childrenSystem) * tickMicros,
    peakMemory: Number(/^VmHWM:\s+(\d+) kB/m.exec(read(pid, 'status'))?.[1] ?? 0) * 1024,
  }
}

/**
 * What a process and those it started have used so far, from /proc: CPU time in ticks of 10 ms, and the peak of the largest of them, as
 * getrusage(2) counts. For who is about to kill the pid namespace around them: nobody reaps them then, and wait4(2) does not tell.
 */
export function sampleUsage(pid: number): Usage {
  const pids = [pid]
  let [userMicros, systemMicros, peakMemory] = [0, 0, 0]
  for (const each of pids) {
    const usage = usageOfOne(each)
    if (usage === undefined) continue
    userMicros += usage.userMicros
    systemMicros += usage.systemMicros
    peakMemory = Math.max(peakMemory, usage.peakMemory)
    const children = read(each, `task/${each}/children`).split(' ').map(Number).filter(Boolean)
    pids.push(...children.slice(0, mostProcesses - pids.length))
  }
  return { userMicros, systemMicros, peakMemory }
}

/** The larger of both: a report that leaves something out says less. */
export function atLeast(usage: Usage, least: Usage): Usage {
  return {
    userMicros: Math.max(usage.userMicros, least.userMicros),
    systemMicros: Math.max(usage.systemMicros, least.systemMicros),
    peakMemory: Math.max(usage.peakMemory, least.peakMemory),
  }
}
