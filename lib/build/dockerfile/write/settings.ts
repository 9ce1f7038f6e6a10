import type { ArgStep, ConfigStep, MaintainerStep, Step, WorkdirStep } from '../../step.ts'
import type { Escape } from '../directives.ts'
import { quoteValue, valueText, wordText } from '../quoting.ts'

/** Milliseconds as a Dockerfile has them. */
function duration(milliseconds: number): string {
  return milliseconds % 1000 === 0 ? `${milliseconds / 1000}s` : `${milliseconds}ms`
}

function pairs(values: Readonly<Record<string, string>>, escaper: Escape): string {
  return Object.entries(values)
    .map(([key, value]) => {
      const name = /\s/.test(key) ? quoteValue(key, escaper) : wordText(key, escaper)
      return `${name}=${value === '' ? '""' : valueText(value, escaper)}`
    })
    .join(' ')
}

/** A command in either form; `--` parts flags from what only looks like one. */
export function commandText(command: string | readonly string[]): string {
  if (typeof command !== 'string') return JSON.stringify(command)
  return command.startsWith('--') ? `-- ${command}` : command
}

function healthcheckText(step: Extract<Step, { kind: 'healthcheck' }>): string {
  const [kind, ...words] = step.test
  if (kind === 'NONE') return 'HEALTHCHECK NONE'
  const times = [
    ['interval', step.interval],
    ['timeout', step.timeout],
    ['start-period', step.startPeriod],
    ['start-interval', step.startInterval],
  ] as const
  const flags = times.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${duration(value)} `]))
  const retries = step.retries === undefined ? '' : `--retries=${step.retries} `
  return `HEALTHCHECK ${flags.join('')}${retries}CMD ${kind === 'CMD' ? JSON.stringify(words) : words.join(' ')}`
}

/** An instruction that changes the config alone, or WORKDIR. */
export function settingsText(step: ConfigStep | ArgStep | MaintainerStep | WorkdirStep, escaper: Escape): string {
  switch (step.kind) {
    case 'env':
      return `ENV ${pairs(step.variables, escaper)}`
    case 'label':
      return `LABEL ${pairs(step.labels, escaper)}`
    case 'arg':
      return `ARG ${Object.entries(step.defaults)
        .map(([name, value]) => (value === null ? name : `${name}=${value === '' ? '""' : valueText(value, escaper)}`))
        .join(' ')}`
    case 'maintainer':
      return `MAINTAINER ${step.author}`
    case 'onbuild':
      return `ONBUILD ${step.instruction}`
    case 'user':
      return `USER ${wordText(step.user, escaper)}`
    case 'workdir':
      return `WORKDIR ${valueText(step.path, escaper)}`
    case 'expose':
      return `EXPOSE ${step.ports.join(' ').replaceAll('/tcp', '')}`
    case 'volume':
      return `VOLUME ${JSON.stringify(step.paths.map((path) => wordText(path, escaper)))}`
    case 'entrypoint':
      return `ENTRYPOINT ${commandText(step.command)}`
    case 'cmd':
      return `CMD ${commandText(step.command)}`
    case 'stopSignal':
      return `STOPSIGNAL ${step.signal}`
    case 'shell':
      return `SHELL ${JSON.stringify(step.argv)}`
    case 'healthcheck':
      return healthcheckText(step)
  }
}
