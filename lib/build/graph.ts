import { StrakeError } from '../errors/index.ts'
import { mostEntries, mostSteps } from './limits.ts'
import type { Base, Step } from './step.ts'

/** One step of a build, with what must be there before it. */
export interface Vertex {
  readonly step: Step
  /** From 1; what it needs has lower ones. */
  readonly index: number
  /** The step before it in its chain; undefined for a `from`. */
  readonly before: Vertex | undefined
  /** The ends of other chains that it starts from or takes files from. */
  readonly needs: readonly Vertex[]
  /** Entries that the history of the image has after it, at least: of a base that is in no store yet nothing is known. */
  readonly entries: number
}

/** A chain on its way into the graph. */
interface Entering {
  readonly steps: readonly Step[]
  next: number
  last: Vertex | undefined
}

/** What a step takes files from, or starts from, beside the step before it. */
export function basesOf(step: Step): readonly Base[] {
  if (step.kind === 'from') return [step.base]
  if (step.kind === 'copy') return step.source.kind === 'image' ? [step.source.base] : []
  if (step.kind === 'late') return Object.values(step.bases ?? {})
  if (step.kind !== 'run') return []
  return (step.mounts ?? []).flatMap((mount) => ('from' in mount && mount.from ? [mount.from] : []))
}

/**
 * The steps of a build and of all builds that it takes from, as a directed graph without cycles: chains that begin with the same steps (the same
 * values: descriptions share them) share their vertices. Steps are values that cannot be changed, so none can lead back to itself.
 */
export class Graph {
  readonly vertices: Vertex[] = []
  readonly #after = new Map<Vertex | undefined, Map<Step, Vertex>>()
  readonly #ends = new Map<readonly Step[], Vertex>()

  /**
   * Adds a chain, unless it is there, and the chains that it needs, however deep they lie in each other. Returns its last vertex. Throws
   * `invalid_argument` for a chain that is none, `limit_exceeded` for more steps than an image or a build may have.
   */
  add(steps: readonly Step[]): Vertex {
    const waiting: Entering[] = []
    this.#enter(steps, waiting)
    for (let chain = waiting.at(-1); chain; chain = waiting.at(-1)) {
      const step = chain.steps[chain.next]
      if (step === undefined) {
        if (chain.last) this.#ends.set(chain.steps, chain.last)
        waiting.pop()
        continue
      }
      const vertex = this.#known(step, chain.last) ?? this.#vertex(step, chain.last, waiting)
      if (vertex === undefined) continue
      chain.last = vertex
      chain.next += 1
    }
    const end = this.#ends.get(steps)
    if (end === undefined) throw new Error('a chain without an end')
    return end
  }

  #enter(steps: readonly Step[], waiting: Entering[]): void {
    if (this.#ends.has(steps)) return
    checkChain(steps)
    waiting.push({ steps, next: 0, last: undefined })
  }

  #known(step: Step, before: Vertex | undefined): Vertex | undefined {
    return this.#after.get(before)?.get(step)
  }

  /** A new vertex, or undefined where chains that it needs have to come first: they are waiting then. */
  #vertex(step: Step, before: Vertex | undefined, waiting: Entering[]): Vertex | undefined {
    const chains = basesOf(step).flatMap((base) => (base.kind === 'steps' ? [base.steps] : []))
    const missing = chains.filter((steps) => !this.#ends.has(steps))
    // The first one is the first to be worked on.
    for (const steps of missing.reverse()) this.#enter(steps, waiting)
    if (missing.length > 0) return undefined
    const needs = chains.flatMap((steps) => this.#ends.get(steps) ?? [])
    const entries = before ? before.entries + 1 : (needs[0]?.entries ?? entriesOf(step))
    const index = this.vertices.length + 1
    if (entries > mostEntries) throw tooMany('an image', mostEntries, 'env, label, copy and run can each do the work of many')
    if (index > mostSteps) throw tooMany('a build', mostSteps)
    const vertex: Vertex = Object.freeze({ step, index, before, needs, entries })
    const siblings = this.#after.get(before) ?? new Map<Step, Vertex>()
    this.#after.set(before, siblings.set(step, vertex))
    this.vertices.push(vertex)
    return vertex
  }
}

function entriesOf(step: Step): number {
  return step.kind === 'from' && step.base.kind === 'image' ? step.base.image.history.length : 0
}

function tooMany(what: string, maximum: number, hint?: string): StrakeError {
  return new StrakeError('limit_exceeded', `${what} cannot have more than ${maximum} steps`, { hint, details: { limit: 'steps', maximum } })
}

function checkChain(steps: readonly Step[]): void {
  if (steps[0]?.kind !== 'from') {
    throw new StrakeError('invalid_argument', 'an image starts with from()', {
      hint: "from('scratch') starts with nothing, from('host') with this machine's shell and tools",
    })
  }
  if (steps.some(({ kind }, index) => kind === 'from' && index > 0)) {
    throw new StrakeError('invalid_argument', 'from() comes first, and once', {
      hint: 'copy(…, { from: image }) takes files of another image',
    })
  }
}
