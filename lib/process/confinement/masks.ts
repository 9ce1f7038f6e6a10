import { readdirSync } from 'node:fs'

/**
 * What a container shall not read: a file is covered by /dev/null, a directory by an empty read-only one; what is not there is left
 * out. As Docker's (moby, daemon/pkg/oci/defaults.go); for the CPUs' throttle counters see `throttlePaths`.
 */
export const maskedPaths: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  // Interrupt counters tell of keystrokes and of neighbours (GHSA-6fw5-f8r9-fgfm).
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  // Power meters tell secrets of what is computed next door (GHSA-jq35-85cj-fj4p).
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
]

/** What a container may read and not write. */
export const readonlyPaths: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

const cpuRoot = '/sys/devices/system/cpu'
let throttles: readonly string[] | undefined

function readThrottles(): readonly string[] {
  try {
    const cpus = readdirSync(cpuRoot).filter((name) => /^cpu\d+$/.test(name))
    return cpus
      .filter((name) => readdirSync(`${cpuRoot}/${name}`).includes('thermal_throttle'))
      .map((name) => `${cpuRoot}/${name}/thermal_throttle`)
  } catch {
    return []
  }
}

/**
 * Masked besides, for the reason that /proc/interrupts is: each CPU's `thermal_throttle`, on machines that have it. Read once from
 * this machine, so a plan that should be the same everywhere takes the list as an argument.
 */
export function throttlePaths(): readonly string[] {
  throttles ??= readThrottles()
  return throttles
}
