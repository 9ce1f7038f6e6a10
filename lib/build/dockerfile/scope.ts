import { defaultPath } from '../settings.ts'
import type { Step } from '../step.ts'
import { UnknownVariable } from './surroundings.ts'

/** So many stages' own variables are looked through one after the other; of a higher pile the variables are put together. */
const highestPile = 32

/**
 * What is known of a stage's variables before it is built. Those of ENV are certain; those of ARG are not (a build may be given other
 * values), nor is what the base image sets.
 */
export class Scope {
  /** What this stage sets; undefined for what only the build can tell. */
  readonly #own = new Map<string, string | undefined>()
  /** That of the stage that this one starts from. It does not change any more. */
  #below: Scope | undefined
  readonly #height: number
  /** Nothing is set but what is in these. */
  #isClosed: boolean
  #hasTriggers = false

  private constructor(below: Scope | undefined, isClosed: boolean) {
    this.#height = below ? (below.#height + 1) % highestPile : 0
    if (below && this.#height === 0) for (const scope of below.#pile().reverse()) for (const each of scope.#own) this.#own.set(...each)
    else this.#below = below
    this.#isClosed = isClosed
  }

  /** On an image of which nothing is known. */
  static onImage(): Scope {
    return new Scope(undefined, false)
  }

  /** On nothing: PATH alone is set. */
  static onScratch(): Scope {
    const scope = new Scope(undefined, true)
    scope.#own.set('PATH', defaultPath)
    return scope
  }

  /** On a stage that ends with this scope: its variables, ARGs among them, are there, and its ONBUILD may set any other. */
  next(): Scope {
    return this.#hasTriggers ? Scope.onImage() : new Scope(this, this.#isClosed)
  }

  /** Throws `UnknownVariable` where only the build can tell. */
  lookup(name: string): string | undefined {
    const scope = this.#pile().find((each) => each.#own.has(name))
    const value = scope ? scope.#own.get(name) : undefined
    if (value === undefined && (scope || !this.#isClosed)) throw new UnknownVariable(name)
    return value
  }

  /** Takes note of what a step sets. */
  note(step: Step): void {
    if (step.kind === 'env') {
      for (const [name, value] of Object.entries(step.variables)) this.#own.set(name, value)
    } else if (step.kind === 'arg') {
      for (const name of Object.keys(step.defaults)) this.#own.set(name, undefined)
    } else if (step.kind === 'onbuild') {
      this.#hasTriggers = true
    } else if (step.kind === 'late' && /^(env|arg)\s/i.test(step.text)) {
      // Not even the names are known for sure.
      this.#own.clear()
      this.#below = undefined
      this.#isClosed = false
    }
  }

  /** This one, and those below it. */
  #pile(): Scope[] {
    const pile: Scope[] = []
    for (let scope: Scope | undefined = this; scope; scope = scope.#below) pile.push(scope)
    return pile
  }
}
