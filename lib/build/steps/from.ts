import { resolve } from 'node:path'
import { isRecord } from '../../errors/index.ts'
import type { ImageData } from '../../images/index.ts'
import { checkWord, invalidArgument } from '../argument.ts'
import type { Base, FromStep, Step } from '../step.ts'

/** A builder, as far as this room needs to know one. */
export interface HasSteps {
  readonly steps: readonly Step[]
}

/** An Image handle, as far as this room needs to know one. */
export interface HasImageData {
  readonly data: ImageData
}

/** What `from` takes. Paths are relative to the working directory of the process. */
export type BaseInput = string | HasSteps | HasImageData

const archive = /\.(tar|tgz|tar\.(gz|zst|xz|bz2))$/

/** The path ends at the first colon, as containers-transports(5) has it: what follows may hold more of them (`app:2`). */
function splitTag(text: string): { path: string; tag?: string } {
  const [, path, tag] = /^([^:]+):(.+)$/.exec(text) ?? []
  return path && tag ? { path: resolve(path), tag } : { path: resolve(text) }
}

function baseOfText(text: string): Base {
  if (text === 'scratch' || text === 'host') return { kind: text }
  const [, scheme, rest] = /^(oci|oci-archive|docker-archive):(.+)$/.exec(text) ?? []
  if (scheme === 'oci' && rest) return { kind: 'layout', ...splitTag(rest) }
  if (scheme && rest) return { kind: 'archive', format: scheme === 'oci-archive' ? 'oci' : 'docker', ...splitTag(rest) }
  if (/^\.{0,2}\//.test(text) || text === '.' || text === '..' || text.endsWith('/') || archive.test(text))
    return { kind: 'rootfs', path: resolve(text) }
  return { kind: 'reference', reference: text }
}

/**
 * The base that `input` names: `scratch`, `host`, `oci:dir:tag`, `oci-archive:file`, `docker-archive:file`, a root directory
 * or its tar (a path that starts with `./`, `../` or `/`, ends with `/`, or ends with `.tar`, `.tar.gz`, `.tgz`, `.tar.zst`),
 * an image or builder, or else a reference.
 */
export function baseOf(argument: string, input: BaseInput): Base {
  if (typeof input === 'string') return Object.freeze(baseOfText(checkWord(argument, input)))
  if (typeof input === 'object' && input !== null) {
    if ('steps' in input && Array.isArray(input.steps)) return Object.freeze({ kind: 'steps', steps: input.steps })
    if ('data' in input && isRecord(input.data)) return Object.freeze({ kind: 'image', image: input.data })
  }
  throw invalidArgument(argument, 'must be a reference, a path, an image or a builder')
}

export function fromStep(input: BaseInput): FromStep {
  return Object.freeze({ kind: 'from', base: baseOf('from', input) })
}
