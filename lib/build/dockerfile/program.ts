import { hostPlatform, type Platform, parsePlatform, parseReference } from '../../images/index.ts'
import type { ContextInput } from '../context-files.ts'
import { mostEntries } from '../limits.ts'
import type { Base, FromStep, Step } from '../step.ts'
import type { Lookup } from './expansion.ts'
import { lateStep } from './late.ts'
import { readInstructions } from './lines.ts'
import { platformArguments, proxyArguments } from './platform-args.ts'
import { dockerfileError, located, type Position, quoted } from './position.ts'
import { Scope } from './scope.ts'
import { type StageSource, stagesOf } from './stages.ts'
import { expanded, failAt, positionOf, type Statement } from './statement.ts'
import { type Surroundings, UnknownVariable } from './surroundings.ts'
import { translate } from './translate/index.ts'

/** What the steps of a Dockerfile depend on beside its text. */
export interface ProgramOptions {
  /** The name or number of the stage that is wanted. Default: the last one. */
  readonly target?: string | undefined
  readonly args?: Readonly<Record<string, string>> | undefined
  /** What TARGETPLATFORM and its like are. Default: this machine's platform. */
  readonly platform?: Platform | undefined
  /** An absolute path: the directory that the steps take files from. Default: that of the build. */
  readonly context?: ContextInput | undefined
}

/** A stage that is understood. */
interface BuiltStage {
  readonly steps: readonly Step[]
  readonly scope: Scope
  /** Steps that the image is made by, those of the stage below among them. */
  readonly entries: number
}

/** A Dockerfile on its way to steps: its stages are gone through once, from the first to the last, since each sees those before it only. */
class Program {
  readonly #stages: readonly StageSource[]
  readonly #options: ProgramOptions
  readonly #args: ReadonlyMap<string, string>
  readonly #globals: ReadonlyMap<string, string>
  readonly #built: BuiltStage[] = []
  /** The first stage of each name, and the last one of those that are understood by now. */
  readonly #first = new Map<string, StageSource>()
  readonly #latest = new Map<string, StageSource>()

  constructor(text: string, options: ProgramOptions) {
    const { globals, stages } = stagesOf(readInstructions(text))
    const last = stages.at(-1)
    if (!last) throw dockerfileError({ line: 1, column: 1 }, 'there is no FROM')
    this.#stages = stages
    for (const stage of stages) if (stage.name !== undefined && !this.#first.has(stage.name)) this.#first.set(stage.name, stage)
    this.#options = options
    const values = platformArguments(options.platform ?? hostPlatform, options.target ?? last.name ?? 'default')
    this.#args = new Map(Object.entries(options.args ?? {}))
    for (const [name, value] of values) values.set(name, this.#args.get(name) ?? value)
    for (const { statement, argument } of globals) {
      const { name, value } = argument
      const found = this.#args.get(name) ?? (value && expanded(statement, value, (each) => values.get(each)))
      if (found !== undefined) values.set(name, found)
    }
    this.#globals = values
  }

  /** The steps of the wanted stage; the other stages are in them where they are used. */
  steps(): readonly Step[] {
    const wanted = this.#target()
    for (const stage of this.#stages) {
      this.#built.push(this.#build(stage))
      if (stage.name !== undefined) this.#latest.set(stage.name, stage)
    }
    return this.#built[wanted.index]?.steps ?? []
  }

  #target(): StageSource {
    const { target } = this.#options
    const found =
      target === undefined
        ? this.#stages.at(-1)
        : (this.#stages.findLast(({ name }) => name === target.toLowerCase()) ?? this.#numbered(target))
    if (found) return found
    const names = this.#stages.map(({ name, index }) => name ?? String(index))
    throw dockerfileError({ line: 1, column: 1 }, `there is no stage ${quoted(target ?? '')}`, { hint: `there are ${names.join(', ')}` })
  }

  /** The last stage of that name before the one that is gone through, or else one that does not come before it. */
  #named(name: string): StageSource | undefined {
    const lower = name.toLowerCase()
    return this.#latest.get(lower) ?? this.#first.get(lower)
  }

  #numbered(text: string): StageSource | undefined {
    return /^\d{1,6}$/.test(text) ? this.#stages[Number(text)] : undefined
  }

  #global(statement: Statement, word: { readonly text: string; readonly offset: number }): string {
    return expanded(statement, word, (name) => this.#globals.get(name))
  }

  #reference(reference: string, position: Position, platform?: string): Base {
    try {
      parseReference(reference)
    } catch (error) {
      throw located(error, position)
    }
    return Object.freeze({ kind: 'reference', reference, ...(platform === undefined ? {} : { platform }) })
  }

  #stageBase(index: number): Base | undefined {
    const steps = this.#built[index]?.steps
    return steps && Object.freeze({ kind: 'steps', steps })
  }

  /** What FROM starts from, and what is known of it. */
  #begin(stage: StageSource): { base: Base; scope: Scope; entries: number } {
    const { from, base: word } = stage
    const name = this.#global(from, word)
    const position = positionOf(from, word.offset)
    if (name === '')
      throw failAt(
        from,
        word.offset,
        `${quoted(word.text)} is empty: no image to start from`,
        'give the ARG before the first FROM a default',
      )
    const platform = this.#platform(stage)
    const known = this.#latest.get(name.toLowerCase())
    const below = known && this.#built[known.index]
    if (below) return { base: Object.freeze({ kind: 'steps', steps: below.steps }), scope: below.scope.next(), entries: below.entries }
    if (name === 'scratch') return { base: Object.freeze({ kind: 'scratch' }), scope: Scope.onScratch(), entries: 0 }
    return { base: this.#reference(name, position, platform), scope: Scope.onImage(), entries: 0 }
  }

  #platform({ from, platform: word }: StageSource): string | undefined {
    if (!word) return undefined
    const platform = this.#global(from, word)
    try {
      parsePlatform(platform)
    } catch (error) {
      throw located(error, positionOf(from, word.offset))
    }
    return platform
  }

  /** What `--from` of an instruction in `stage` names. */
  #base(stage: StageSource, name: string, position: Position): Base {
    if (/\$[\w{]/.test(name))
      throw dockerfileError(position, `no variable can stand in ${quoted(name)}`, { hint: 'name a stage for it: FROM $IMAGE AS name' })
    const isNumber = /^\d+$/.test(name)
    const found = isNumber ? this.#numbered(name) : this.#named(name)
    if (found?.index === stage.index) throw dockerfileError(position, `the stage ${quoted(name)} would need itself`)
    if (found && found.index > stage.index) {
      const { line } = positionOf(found.from, 0)
      throw dockerfileError(position, `the stage ${quoted(name)} comes later (line ${line}): a stage can use those before it only`)
    }
    if (found) return this.#stageBase(found.index) ?? { kind: 'scratch' }
    if (isNumber) throw dockerfileError(position, `there is no stage ${name}: they are counted from 0 to ${this.#stages.length - 1}`)
    return name === 'scratch' ? Object.freeze({ kind: 'scratch' }) : this.#reference(name, position)
  }

  #build(stage: StageSource): BuiltStage {
    const { base, scope, entries } = this.#begin(stage)
    const { context } = this.#options
    // For those that the steps have named already they say the same again; an ONBUILD of the base may name others.
    const args = { ...Object.fromEntries(this.#args), ...proxyArguments(this.#args) }
    const first: FromStep = Object.freeze({
      kind: 'from',
      base,
      ...(context === undefined ? {} : { context }),
      ...(Object.keys(args).length === 0 ? {} : { args: Object.freeze(args) }),
    })
    const lookup: Lookup = (name) => scope.lookup(name)
    const steps: Step[] = [first]
    for (const statement of stage.instructions) {
      for (const step of this.#translated(statement, stage, lookup)) {
        scope.note(step)
        steps.push(step)
      }
      // Nobody could read the history of such an image.
      if (entries + steps.length - 1 > mostEntries)
        throw failAt(statement, 0, `the image has more than ${mostEntries} steps`, 'ENV, LABEL, COPY and RUN can each do the work of many')
    }
    return { steps: Object.freeze(steps), scope, entries: entries + steps.length - 1 }
  }

  #translated(statement: Statement, stage: StageSource, lookup: Lookup): readonly Step[] {
    const bases = new Map<string, Base>()
    const around: Surroundings = {
      lookup,
      given: (name, hasDefault) => this.#args.get(name) ?? (hasDefault ? undefined : this.#globals.get(name)),
      base: (name, position) => {
        const base = this.#base(stage, name, position)
        bases.set(name, base)
        return base
      },
    }
    try {
      return translate(statement, around)
    } catch (error) {
      if (!(error instanceof UnknownVariable)) throw error
      return [lateStep(statement, around, bases)]
    }
  }
}

/** The steps of a Dockerfile's stage. Throws `dockerfile_invalid`, its details saying where. */
export function programSteps(text: string, options: ProgramOptions = {}): readonly Step[] {
  return new Program(text, options).steps()
}
