import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Cgroup } from '../../lib/cgroups/index.ts'

export interface Inside {
  readonly child: ChildProcess
  /** Resolves with how it ended and what it wrote. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string }>
}

/** Starts a command that moves itself into the group first, as a container's first process does. */
export function spawnInside(group: Cgroup, argv: readonly string[]): Inside {
  const joins = group.joinPaths.map((path) => `echo 0 > '${path}'`).join(' && ')
  const child = spawn('/bin/sh', ['-c', `${joins} && exec "$@"`, 'sh', ...argv], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, output }))
  return { child, ended }
}
