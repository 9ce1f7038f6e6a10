import { constants } from 'node:os'
import { isRecord, kindOfValue, optionCheck } from '../../errors/index.ts'
import { parseDuration } from '../../process/index.ts'
import { checkArgv, checkCommand, checkRecord, checkText, checkUser, checkWord, invalidArgument, variableName } from '../argument.ts'
import type {
  ArgStep,
  CmdStep,
  EntrypointStep,
  EnvStep,
  ExposeStep,
  HealthcheckStep,
  LabelStep,
  MaintainerStep,
  OnBuildStep,
  ShellStep,
  StopSignalStep,
  UserStep,
  VolumeStep,
  WorkdirStep,
} from '../step.ts'

/**
 * A check that tells whether a container works. Times are milliseconds or texts such as `'1m30s'`, at least 1 ms; Docker's defaults, which 0 stands
 * for as well, are 30 s, 30 s, 0 s, 5 s and 3.
 */
export interface Healthcheck {
  /**
   * An argv, a shell command, or `'none'` to take the base's check away; or as it is in the config of an image: `['CMD', …]`, `['CMD-SHELL', command]`,
   * `['NONE']`.
   */
  readonly test: string | readonly string[]
  readonly interval?: number | string
  readonly timeout?: number | string
  readonly startPeriod?: number | string
  /** Between checks during `startPeriod`. */
  readonly startInterval?: number | string
  readonly retries?: number
}

const checkHealthcheck = optionCheck<Healthcheck>('healthcheck', {
  test: true,
  interval: true,
  timeout: true,
  startPeriod: true,
  startInterval: true,
  retries: true,
})

export function workdirStep(path: string): WorkdirStep {
  return Object.freeze({ kind: 'workdir', path: checkText('workdir', path) })
}

export function envStep(variables: Readonly<Record<string, string>>): EnvStep {
  return Object.freeze({ kind: 'env', variables: checkRecord('env', variables, /^[^=\0]+$/) })
}

/** Variables with defaults; undefined for one that only the build gives a value. */
export function argStep(variables: Readonly<Record<string, string | undefined>>): ArgStep {
  if (!isRecord(variables)) throw invalidArgument('arg', `must be an object, not ${kindOfValue(variables)}`)
  const entries = Object.entries(variables)
  const given = checkRecord('arg', Object.fromEntries(entries.filter(([, value]) => value !== undefined)), variableName)
  const names = checkRecord('arg', Object.fromEntries(entries.map(([name]) => [name, ''])), variableName)
  return Object.freeze({
    kind: 'arg',
    defaults: Object.freeze(Object.fromEntries(Object.keys(names).map((name) => [name, given[name] ?? null]))),
  })
}

export function onbuildStep(instruction: string): OnBuildStep {
  return Object.freeze({ kind: 'onbuild', instruction: checkText('onbuild', instruction).trim() })
}

export function maintainerStep(author: string): MaintainerStep {
  return Object.freeze({ kind: 'maintainer', author: checkText('maintainer', author) })
}

export function userStep(user: string | number): UserStep {
  return Object.freeze({ kind: 'user', user: checkUser('user', user) })
}

export function labelStep(labels: Readonly<Record<string, string>>): LabelStep {
  return Object.freeze({ kind: 'label', labels: checkRecord('label', labels, /^[^\n\0]+$/) })
}

function checkPort(value: unknown): string {
  const text = typeof value === 'number' || typeof value === 'string' ? String(value) : ''
  const [, port, protocol = 'tcp'] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(text) ?? []
  const number = Number(port)
  if (!(number >= 1 && number <= 65_535))
    throw invalidArgument('expose', `must be a port such as 8080 or '53/udp', not ${JSON.stringify(value)}`)
  return `${number}/${protocol}`
}

export function exposeStep(ports: readonly (number | string)[]): ExposeStep {
  if (ports.length === 0) throw invalidArgument('expose', 'needs at least one port')
  return Object.freeze({ kind: 'expose', ports: Object.freeze(ports.map(checkPort)) })
}

export function volumeStep(paths: readonly string[]): VolumeStep {
  if (paths.length === 0) throw invalidArgument('volume', 'needs at least one path')
  return Object.freeze({ kind: 'volume', paths: Object.freeze(paths.map((path) => checkWord('volume', path))) })
}

export function entrypointStep(command: string | readonly string[]): EntrypointStep {
  return Object.freeze({ kind: 'entrypoint', command: isNothing(command) ? Object.freeze([]) : checkCommand('entrypoint', command) })
}

export function cmdStep(command: string | readonly string[]): CmdStep {
  return Object.freeze({ kind: 'cmd', command: isNothing(command) ? Object.freeze([]) : checkCommand('cmd', command) })
}

export function shellStep(argv: readonly string[]): ShellStep {
  return Object.freeze({ kind: 'shell', argv: checkArgv('shell', argv) })
}

/** A name (`SIGTERM`, `TERM`, `SIGRTMIN+3`) or a number. */
export function stopSignalStep(signal: string | number): StopSignalStep {
  const text = checkWord('stopSignal', typeof signal === 'number' ? String(signal) : signal).toUpperCase()
  if (/^\d+$/.test(text)) {
    if (Number(text) < 1 || Number(text) > 64) throw invalidArgument('stopSignal', 'must be between 1 and 64')
    return Object.freeze({ kind: 'stopSignal', signal: text })
  }
  const name = text.startsWith('SIG') ? text : `SIG${text}`
  if (!(name in constants.signals) && !/^SIGRTM(IN(\+\d{1,2})?|AX(-\d{1,2})?)$/.test(name))
    throw invalidArgument('stopSignal', `is no signal: ${JSON.stringify(signal)}`)
  return Object.freeze({ kind: 'stopSignal', signal: name })
}

function healthTest(test: string | readonly string[]): readonly string[] {
  if (test === 'none' || test === 'NONE') return ['NONE']
  if (typeof test === 'string') return ['CMD-SHELL', checkText('healthcheck.test', test)]
  const argv = checkArgv('healthcheck.test', test)
  const [kind, ...words] = argv
  switch (kind) {
    case 'CMD':
      return [kind, ...checkArgv('healthcheck.test', words)]
    case 'CMD-SHELL':
      if (words.length !== 1) throw invalidArgument('healthcheck.test', "must have one command after 'CMD-SHELL'")
      return [kind, checkText('healthcheck.test', words[0])]
    case 'NONE':
      if (words.length > 0) throw invalidArgument('healthcheck.test', "must have nothing after 'NONE'")
      return [kind]
    default:
      return ['CMD', ...argv]
  }
}

const healthTimes = ['interval', 'timeout', 'startPeriod', 'startInterval'] as const

/** Milliseconds; undefined for none and for 0, which both leave it to whoever runs the check. */
function healthTime(name: string, value: number | string | undefined): number | undefined {
  const time = value === undefined ? 0 : parseDuration(value, name)
  if (time === 0) return undefined
  // As Docker, which starts no container of an image that has less.
  if (time < 1 || time === Number.POSITIVE_INFINITY) throw invalidArgument(name, `must be 0 or at least 1 ms, and finite, not ${value}`)
  return time
}

export function healthcheckStep(check: Healthcheck): HealthcheckStep {
  checkHealthcheck(check)
  const { test, retries = 0 } = check
  if (!(Number.isInteger(retries) && retries >= 0)) throw invalidArgument('healthcheck.retries', 'must be a whole number from 0 on')
  const times = healthTimes.flatMap((name) => {
    const time = healthTime(`healthcheck.${name}`, check[name])
    return time === undefined ? [] : [[name, time] as const]
  })
  return Object.freeze({
    kind: 'healthcheck',
    test: Object.freeze(healthTest(test)),
    ...Object.fromEntries(times),
    ...(retries === 0 ? {} : { retries }),
  })
}

function isNothing(command: string | readonly string[]): boolean {
  return Array.isArray(command) && command.length === 0
}
