import { type ContainerSpec, planOf } from '../process/index.ts'
import type { Store } from '../store/index.ts'
import { encodeProgram } from '../sys/index.ts'
import type { EncodedProgram, Zygote } from '../zygote/index.ts'
import { type ContainerDirectory, newDirectory, partsOf } from './directory.ts'
import type { ContainerRequest, ImageSource } from './launch.ts'

/** What of the options changes nothing of the program. */
const elsewhere: ReadonlySet<string> = new Set([
  'name',
  'stdin',
  'timeout',
  'signal',
  'check',
  'encoding',
  'maxOutput',
  'cmd',
  'entrypoint',
])
const mostOfAnImage = 64
const mostSeen = 256
const longestKey = 8192

interface Place {
  readonly at: number
  readonly part: 'short' | 'rest'
}

/** A program that is ready to be sent, and the spec that it was made of. */
export interface ReadyProgram extends EncodedProgram {
  /** The kind of the spares that it can use (`sparesOf`). */
  readonly spares: string | undefined
  spec(): ContainerSpec
}

/** The program of a container, encoded, and where in it the container's own names are. */
interface Template {
  readonly bytes: Buffer
  readonly places: readonly Place[]
  readonly given: readonly string[]
  readonly spares: string | undefined
  readonly specOf: (directory: ContainerDirectory) => ContainerSpec
}

/** What of a container depends on nothing but its image and options, once it was asked for. */
export type MakeSpec = (directory: ContainerDirectory) => ContainerSpec

/** Containers of one kind can use each other's spares. One whose namespace has an owner of its own is made from the start. */
export function sparesOf({ network, users }: Pick<ContainerSpec, 'network' | 'users'>): string | undefined {
  return users && users.owner !== 0 ? undefined : `${network} ${users ? 'private' : 'shared'}`
}

/** Numbers and holes that JSON has no words for. */
function worded(_: string, value: unknown): unknown {
  if (value === undefined) return '\0'
  return typeof value === 'number' && !Number.isFinite(value) ? `\0${value}` : value
}

/**
 * Which requests have the same program, but for the container's names; undefined for those that are made anew: what is read from the host
 * each time, what is different each time, and what is longer to compare than to make.
 */
export function templateKey(
  { argv, options, layers, fault }: ContainerRequest,
  given: readonly string[],
  limits: unknown,
): string | undefined {
  if (layers || fault || options.network === 'host' || typeof options.seccomp === 'object') return undefined
  const own = Object.entries(options).filter(([name]) => !elsewhere.has(name))
  try {
    const key = JSON.stringify([argv, given, limits, own], worded)
    return key.length <= longestKey ? key : undefined
  } catch {
    return undefined
  }
}

function placesOf(bytes: Buffer, parts: ReturnType<typeof partsOf>): Place[] {
  return (['short', 'rest'] as const).flatMap((part) => {
    const places: Place[] = []
    for (let at = bytes.indexOf(parts[part]); at >= 0; at = bytes.indexOf(parts[part], at + 1)) places.push({ at, part })
    return places
  })
}

/**
 * Encoded programs by image and options. A program is a pure function of its spec, and two containers of one image and the same options
 * differ in their id alone: the second one's program is the first one's with another id in it.
 */
export class Templates {
  readonly #store: Store
  #zygote: Zygote | undefined
  #byImage = new WeakMap<ImageSource, Map<string, Template>>()
  /** What was asked for once: of what is never asked for again no template is made. */
  readonly #seen = new Set<string>()

  constructor(store: Store) {
    this.#store = store
  }

  /** The program for a container in this directory, if one like it was made before. */
  find(zygote: Zygote, image: ImageSource, key: string, directory: ContainerDirectory): ReadyProgram | undefined {
    if (this.#zygote !== zygote) return undefined
    const template = this.#byImage.get(image)?.get(key)
    if (!template) return undefined
    const { bytes, places, given, spares, specOf } = template
    const { short, rest } = partsOf(directory)
    // Nobody holds the bytes longer than until they are sent, and another template of this length patches the same places again.
    for (const { at, part } of places) bytes.write(part === 'short' ? short : rest, at, 'latin1')
    let spec: ContainerSpec | undefined
    const specHere = (): ContainerSpec => {
      spec ??= specOf(directory)
      return spec
    }
    return { bytes, given, spares, spec: specHere, program: () => planOf(specHere()).program }
  }

  /** Keeps the program of containers like this one, from the second one on. Throws as `planOf`. */
  note(zygote: Zygote, image: ImageSource, key: string, given: readonly string[], specOf: MakeSpec): void {
    if (!this.#seen.delete(key)) {
      if (this.#seen.size >= mostSeen) this.#seen.clear()
      this.#seen.add(key)
      return
    }
    if (this.#zygote !== zygote) {
      this.#zygote = zygote
      this.#byImage = new WeakMap()
    }
    const ofImage = this.#byImage.get(image) ?? new Map<string, Template>()
    if (ofImage.size >= mostOfAnImage) ofImage.clear()
    // A directory that no container has: its names are nowhere in what the caller gave.
    const example = newDirectory(this.#store)
    const spec = specOf(example)
    const bytes = Buffer.from(encodeProgram(planOf(spec).program, given))
    ofImage.set(key, { bytes, given, spares: sparesOf(spec), specOf, places: placesOf(bytes, partsOf(example)) })
    this.#byImage.set(image, ofImage)
  }
}
