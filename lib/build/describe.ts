import type { Base, CopyStep, Step } from './step.ts'

function quote(words: readonly string[]): string {
  return JSON.stringify(words)
}

function command(value: string | readonly string[]): string {
  return typeof value === 'string' ? value : quote(value)
}

function pairs(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
}

/** A base in a few words: `debian:12`, `host`, `./rootfs.tar`. */
export function describeBase(base: Base): string {
  switch (base.kind) {
    case 'scratch':
    case 'host':
      return base.kind
    case 'reference':
      return base.reference
    case 'layout':
      return `oci:${base.path}${base.tag ? `:${base.tag}` : ''}`
    case 'archive':
      return `${base.format}-archive:${base.path}${base.tag ? `:${base.tag}` : ''}`
    case 'rootfs':
      return base.path
    case 'image':
      return base.image.digest
    case 'steps':
      return 'a build'
  }
}

function describeCopy(step: CopyStep): string {
  const { source } = step
  const what = source.kind === 'memory' ? source.files.map(({ path }) => path) : source.paths
  const from = source.kind === 'image' ? `--from=${describeBase(source.base)} ` : ''
  return `COPY ${from}${describeSources(what)} ${step.destination}`
}

function describeSources(sources: readonly string[]): string {
  return sources.length > 4 ? `${sources.slice(0, 4).join(' ')} … (${sources.length} in all)` : sources.join(' ')
}

function describeArguments(defaults: Readonly<Record<string, string | null>>): string {
  return Object.entries(defaults)
    .map(([name, value]) => (value === null ? name : `${name}=${value}`))
    .join(' ')
}

/** A step on one line, as a Dockerfile would have it: what the history, progress and errors show. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'from':
      return `FROM ${describeBase(step.base)}`
    case 'run':
      return `RUN ${command(step.command)}`
    case 'copy':
      return describeCopy(step)
    case 'add':
      return `ADD ${describeSources(step.sources.map((source) => (source.kind === 'path' ? source.path : source.url)))} ${step.destination}`
    case 'arg':
      return `ARG ${describeArguments(step.defaults)}`
    case 'onbuild':
      return `ONBUILD ${step.instruction}`
    case 'maintainer':
      return `MAINTAINER ${step.author}`
    case 'late':
      return step.text
    case 'workdir':
      return `WORKDIR ${step.path}`
    case 'env':
      return `ENV ${pairs(step.variables)}`
    case 'user':
      return `USER ${step.user}`
    case 'label':
      return `LABEL ${pairs(step.labels)}`
    case 'expose':
      return `EXPOSE ${step.ports.join(' ')}`
    case 'volume':
      return `VOLUME ${quote(step.paths)}`
    case 'entrypoint':
      return `ENTRYPOINT ${command(step.command)}`
    case 'cmd':
      return `CMD ${command(step.command)}`
    case 'stopSignal':
      return `STOPSIGNAL ${step.signal}`
    case 'shell':
      return `SHELL ${quote(step.argv)}`
    case 'healthcheck':
      return step.test[0] === 'NONE' ? 'HEALTHCHECK NONE' : `HEALTHCHECK ${step.test[0]} ${quote(step.test.slice(1))}`
  }
}
