import { defaultPath } from '../settings.ts'
import type { Step } from '../step.ts'
import { UnknownVariable } from './surroundings.ts'

/**
 * What is known of a stage's variables before it is built. Those of ENV are certain; those of ARG are not (a build may be given other
 * values), nor is what the base image sets.
 */
export class Scope {
  readonly #certain: Map<string, string>
  readonly #uncertain = new Set<string>()
  /** Nothing is set but what is in the two. */
  #isClosed: boolean
  #hasTriggers = false

  private constructor(certain: ReadonlyMap<string, string>, isClosed: boolean) {
    this.#certain = new Map(certain)
    this.#isClosed = isClosed
  }

  /** On an image of which nothing is known. */
  static onImage(): Scope {
    return new Scope(new Map(), false)
  }

  /** On nothing: PATH alone is set. */
  static onScratch(): Scope {
    return new Scope(new Map([['PATH', defaultPath]]), true)
  }

  /** On a stage that ends with this scope: its variables, ARGs among them, are there, and its ONBUILD may set any other. */
  next(): Scope {
    if (this.#hasTriggers) return Scope.onImage()
    const scope = new Scope(this.#certain, this.#isClosed)
    for (const name of this.#uncertain) scope.#uncertain.add(name)
    return scope
  }

  /** Throws `UnknownVariable` where only the build can tell. */
  lookup(name: string): string | undefined {
    const value = this.#certain.get(name)
    if (this.#uncertain.has(name) || (value === undefined && !this.#isClosed)) throw new UnknownVariable(name)
    return value
  }

  /** Takes note of what a step sets. */
  note(step: Step): void {
    if (step.kind === 'env') {
      for (const [name, value] of Object.entries(step.variables)) {
        this.#certain.set(name, value)
        this.#uncertain.delete(name)
      }
    } else if (step.kind === 'arg') {
      for (const name of Object.keys(step.defaults)) this.#uncertain.add(name)
    } else if (step.kind === 'onbuild') {
      this.#hasTriggers = true
    } else if (step.kind === 'late' && /^(env|arg)\s/i.test(step.text)) {
      // Not even the names are known for sure.
      for (const name of this.#certain.keys()) this.#uncertain.add(name)
      this.#isClosed = false
    }
  }
}
