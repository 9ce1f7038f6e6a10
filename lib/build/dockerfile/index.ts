import { resolve } from 'node:path'
import { invalidOption, kindOfValue, optionCheck, StrakeError } from '../../errors/index.ts'
import { parsePlatform } from '../../images/index.ts'
import { readShortSync } from '../../store/index.ts'
import { checkRecord, variableName } from '../argument.ts'
import { contextOfDockerfile } from '../context-files.ts'
import type { Step } from '../step.ts'
import { programSteps } from './program.ts'

/** Bytes that a Dockerfile may have. */
const maxBytes = 16 * 1024 * 1024

/** Which Dockerfile, and what it is read with. */
export interface DockerfileOptions {
  /** The file. Either this or `text`. Default: `Dockerfile` in `context`, or else in the working directory of the process. */
  readonly path?: string
  /** The Dockerfile itself. */
  readonly text?: string
  /**
   * The directory that COPY and ADD take files from, and verbs after this one, too, but for what `PATH.dockerignore` or its .dockerignore leaves
   * out. Default: that of `build({ context })`.
   */
  readonly context?: string
  /** The stage that is wanted, by its name or its number (the first is 0). Default: the last. */
  readonly target?: string | number
  /** Values of ARGs, and of proxies, which need none (`HTTP_PROXY`, …). Those given to `build` win in all places but FROM. */
  readonly args?: Readonly<Record<string, string>>
  /** What TARGETPLATFORM and its like say: give `build` the same. Default: this machine's. */
  readonly platform?: string
}

const checkNames = optionCheck<DockerfileOptions>('fromDockerfile', {
  path: true,
  text: true,
  context: true,
  target: true,
  args: true,
  platform: true,
})

function checkText(name: string, value: unknown): void {
  if (value !== undefined && (typeof value !== 'string' || value === ''))
    throw invalidOption(`${name} must be a text, not ${value === '' ? "''" : kindOfValue(value)}.`)
}

function read(path: string): string {
  try {
    const text = readShortSync(
      path,
      maxBytes,
      (kind) =>
        new StrakeError('context_invalid', `the Dockerfile ${path} is ${kind}, not a file`, {
          hint: 'the text of one is taken as { text }',
          details: { path },
        }),
    )
    if (text.length <= maxBytes) return text.toString()
    throw new StrakeError('limit_exceeded', `${path} has more than ${maxBytes} bytes, which is more than a Dockerfile may have`, {
      details: { limit: maxBytes },
    })
  } catch (cause) {
    if (cause instanceof StrakeError) throw cause
    throw new StrakeError('context_invalid', `the Dockerfile ${path} cannot be read`, {
      cause,
      hint: 'path is relative to the working directory of the process',
      details: { path },
    })
  }
}

/**
 * The steps of a Dockerfile: the same that the verbs make. Throws `dockerfile_invalid` (its details: `line`, `column`), `context_invalid`
 * when it cannot be read, `limit_exceeded` beyond 16 MiB, `invalid_argument`.
 */
export function dockerfileSteps(options: DockerfileOptions = {}): readonly Step[] {
  checkNames(options)
  const { path, text, context, target, args, platform } = options
  checkText('path', path)
  checkText('context', context)
  checkText('platform', platform)
  if (text !== undefined && typeof text !== 'string')
    throw invalidOption(`text must be a Dockerfile as a string, not ${kindOfValue(text)}.`)
  if (text !== undefined && path !== undefined) throw invalidOption('fromDockerfile takes path or text, not both.')
  if (target !== undefined && typeof target !== 'string' && typeof target !== 'number')
    throw invalidOption(`target must be the name or the number of a stage, not ${kindOfValue(target)}.`)
  if (text !== undefined && text.length > maxBytes)
    throw new StrakeError('limit_exceeded', 'the text is longer than a Dockerfile may be', { details: { limit: maxBytes } })
  const file = text === undefined ? resolve(path ?? resolve(context ?? '.', 'Dockerfile')) : undefined
  return programSteps(text ?? read(file ?? ''), {
    ...(target === undefined ? {} : { target: String(target) }),
    ...(args === undefined ? {} : { args: checkRecord('args', args, variableName) }),
    ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
    ...(context === undefined ? {} : { context: contextOfDockerfile(resolve(context), file) }),
  })
}
