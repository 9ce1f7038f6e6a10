import { StrakeError } from '../errors/index.ts'
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

  /** Adds a chain, unless it is there, and the chains that it needs. Returns its last vertex. Throws `invalid_argument` for a chain that is none. */
  add(steps: readonly Step[]): Vertex {
    const known = this.#ends.get(steps)
    if (known) return known
    checkChain(steps)
    let last: Vertex | undefined
    for (const step of steps) last = this.#vertex(step, last)
    if (last === undefined) throw new Error('a chain without an end')
    this.#ends.set(steps, last)
    return last
  }

  #vertex(step: Step, before: Vertex | undefined): Vertex {
    const siblings = this.#after.get(before) ?? new Map<Step, Vertex>()
    this.#after.set(before, siblings)
    const known = siblings.get(step)
    if (known) return known
    const needs = basesOf(step).flatMap((base) => (base.kind === 'steps' ? [this.add(base.steps)] : []))
    const vertex: Vertex = Object.freeze({ step, index: this.vertices.length + 1, before, needs })
    siblings.set(step, vertex)
    this.vertices.push(vertex)
    return vertex
  }
}

function checkChain(steps: readonly Step[]): void {
  if (steps[0]?.kind !== 'from') {
    throw new StrakeError('invalid_argument', 'an image starts with from()', {
      hint: "from('scratch') starts with nothing, from('host') with this machine's shell and tools",
    })
  }
  if (steps.slice(1).some(({ kind }) => kind === 'from')) {
    throw new StrakeError('invalid_argument', 'from() comes first, and once', {
      hint: 'copy(…, { from: image }) takes files of another image',
    })
  }
}
