import { posix } from 'node:path'
import type { ExecutionConfig, HealthConfig } from '../images/index.ts'
import type { ConfigStep } from './step.ts'

const defaultShell: readonly string[] = ['/bin/sh', '-c']
const nanosecondsPerMillisecond = 1_000_000

/** What `PATH` is where the image says nothing, as Docker has it. */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** The environment of an image whose base says nothing about it. */
export const defaultEnvironment: readonly string[] = [`PATH=${defaultPath}`]

export function shellOf(settings: ExecutionConfig): readonly string[] {
  return settings.Shell ?? defaultShell
}

/** An argv as it is; a string by the image's shell. */
export function argvOf(settings: ExecutionConfig, command: string | readonly string[]): readonly string[] {
  return typeof command === 'string' ? [...shellOf(settings), command] : command
}

/** `A=b` lines as an object; the last of a name counts. */
export function environmentOf(settings: ExecutionConfig): Record<string, string> {
  return Object.fromEntries(
    (settings.Env ?? []).map((line) => {
      const at = line.indexOf('=')
      return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)]
    }),
  )
}

export function workdirOf(settings: ExecutionConfig): string {
  return settings.WorkingDir || '/'
}

/** Environments that have each name once. */
const merged = new WeakSet<readonly string[]>()

/** Names keep their places, new ones come last, as with ENV. */
function mergeEnv(settings: ExecutionConfig, variables: Readonly<Record<string, string>>): string[] {
  const { Env = [] } = settings
  // Taking every line apart for every step would be what a build of many spends its time on.
  const lines = merged.has(Env) ? [...Env] : Object.entries(environmentOf(settings)).map(([name, value]) => `${name}=${value}`)
  for (const [name, value] of Object.entries(variables)) {
    const head = `${name}=`
    const at = lines.findIndex((line) => line.startsWith(head))
    lines[at < 0 ? lines.length : at] = head + value
  }
  merged.add(lines)
  return lines
}

function asSet(
  names: readonly string[],
  before: Readonly<Record<string, Record<string, never>>> = {},
): Record<string, Record<string, never>> {
  return { ...before, ...Object.fromEntries(names.map((name) => [name, {}])) }
}

function nanoseconds(
  name: 'Interval' | 'Timeout' | 'StartPeriod' | 'StartInterval',
  milliseconds: number | undefined,
): Partial<HealthConfig> {
  return milliseconds === undefined ? {} : { [name]: Math.round(milliseconds * nanosecondsPerMillisecond) }
}

/**
 * The settings after a step that changes nothing else, as the Dockerfile reference says for the instruction of that name.
 * `hasOwnCmd`: a `cmd` came earlier in this build, so the command is not the base image's.
 */
export function applyStep(settings: ExecutionConfig, step: ConfigStep, hasOwnCmd = false): ExecutionConfig {
  switch (step.kind) {
    case 'env':
      return { ...settings, Env: mergeEnv(settings, step.variables) }
    case 'user':
      return { ...settings, User: step.user }
    case 'label':
      return { ...settings, Labels: { ...settings.Labels, ...step.labels } }
    case 'expose':
      return { ...settings, ExposedPorts: asSet(step.ports, settings.ExposedPorts) }
    case 'volume':
      return { ...settings, Volumes: asSet(step.paths, settings.Volumes) }
    case 'entrypoint': {
      // "If CMD is defined from the base image, setting ENTRYPOINT will reset CMD to an empty value."
      const { Cmd: _, ...rest } = settings
      return { ...(hasOwnCmd ? settings : rest), Entrypoint: argvOf(settings, step.command) }
    }
    case 'cmd':
      return { ...settings, Cmd: argvOf(settings, step.command) }
    case 'onbuild':
      return { ...settings, OnBuild: [...(settings.OnBuild ?? []), step.instruction] }
    case 'stopSignal':
      return { ...settings, StopSignal: step.signal }
    case 'shell':
      return { ...settings, Shell: step.argv }
    case 'healthcheck':
      return {
        ...settings,
        Healthcheck: {
          Test: step.test,
          ...nanoseconds('Interval', step.interval),
          ...nanoseconds('Timeout', step.timeout),
          ...nanoseconds('StartPeriod', step.startPeriod),
          ...nanoseconds('StartInterval', step.startInterval),
          ...(step.retries === undefined ? {} : { Retries: step.retries }),
        },
      }
  }
}

/** WORKDIR: a relative path starts at the one before. */
export function applyWorkdir(settings: ExecutionConfig, path: string): ExecutionConfig {
  return { ...settings, WorkingDir: posix.resolve('/', workdirOf(settings), path) }
}
