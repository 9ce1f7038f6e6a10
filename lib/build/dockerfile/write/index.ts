import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { optionCheck, StrakeError } from '../../../errors/index.ts'
import { describeStep } from '../../describe.ts'
import { basesOf } from '../../graph.ts'
import type { Base, CopyStep, FromStep, LateStep, RunStep, Step } from '../../step.ts'
import type { Escape } from '../directives.ts'
import { lateStatement } from '../late.ts'
import { readInstructions } from '../lines.ts'
import { parseStatement } from '../statement.ts'
import { UnknownVariable } from '../surroundings.ts'
import { translate } from '../translate/index.ts'
import { addText, baseName, companionText, copyText, heredocsText, heredocText, isHeredocText, targetOf } from './copy.ts'
import { runTexts } from './run.ts'
import { settingsText } from './settings.ts'

export interface ToDockerfileOptions {
  /**
   * Gets each file from memory that no heredoc can hold (bytes that are no text, a last line without an end), to be put into the build
   * context at `path`. Default: such a file is refused.
   */
  readonly onFile?: (path: string, content: Uint8Array) => void
}

const checkNames = optionCheck<ToDockerfileOptions>('toDockerfile', { onFile: true })

/** The directory of the context for files that `onFile` gets. */
const companions = 'strake-files'

function unsayable(step: Step, why: string, hint?: string): StrakeError {
  const name = describeStep(step)
  return new StrakeError('dockerfile_invalid', `a Dockerfile cannot say ${name.length > 200 ? `${name.slice(0, 200)}…` : name}: ${why}`, {
    hint,
    details: { step: name },
  })
}

function chainsIn(step: Step): (readonly Step[])[] {
  return basesOf(step).flatMap((base) => (base.kind === 'steps' ? [base.steps] : []))
}

/** What has been seen of a chain on the way through all that it needs. */
interface Visit {
  readonly steps: readonly Step[]
  readonly needs: Iterator<readonly Step[]>
}

/** The chains that `end` needs, each after those that it needs itself, and `end` as the last; `onSeen` is told of each as it is come upon first. */
function chainsUnder(end: readonly Step[], onSeen: (steps: readonly Step[]) => void): readonly (readonly Step[])[] {
  const seen = new Set([end])
  const ordered: (readonly Step[])[] = []
  const path: Visit[] = [{ steps: end, needs: end.flatMap(chainsIn).values() }]
  for (let visit = path.at(-1); visit; visit = path.at(-1)) {
    const { value: steps, done } = visit.needs.next()
    if (done) {
      ordered.push(visit.steps)
      path.pop()
    } else if (!seen.has(steps)) {
      seen.add(steps)
      onSeen(steps)
      path.push({ steps, needs: steps.flatMap(chainsIn).values() })
    }
  }
  return ordered
}

/** A Dockerfile in the making: the stages in the order in which they need each other. */
class Writer {
  readonly #stages: string[] = []
  readonly #names = new Map<readonly Step[], string>()
  readonly #bases = new Map<string, Base>()
  readonly #chains: readonly (readonly Step[])[]
  readonly #escaper: Escape
  readonly #onFile: ToDockerfileOptions['onFile']

  constructor(steps: readonly Step[], { onFile }: ToDockerfileOptions) {
    this.#onFile = onFile
    const met: (readonly Step[])[] = []
    this.#chains = chainsUnder(steps, (chain) => met.push(chain))
    const all = this.#chains.flat()
    this.#nameStages(met, new Set(all.flatMap(basesOf).flatMap((base) => (base.kind === 'reference' ? [base.reference] : []))))
    const escapers = new Set(all.flatMap((step) => (step.kind === 'late' ? [step.escaper] : [])))
    const [escaper = '\\', ...more] = escapers
    const late = all.find((step) => step.kind === 'late')
    if (more.length > 0 && late) throw unsayable(late, 'its Dockerfile has another escape character than that of another step')
    this.#escaper = escaper
  }

  text(): string {
    for (const steps of this.#chains) this.#stage(steps, this.#names.get(steps))
    const head = this.#escaper === '`' ? '# escape=`\n' : ''
    return `${head}${this.#stages.join('\n')}`
  }

  #stage(steps: readonly Step[], name: string | undefined): void {
    const [first, ...rest] = steps
    if (first?.kind !== 'from') throw new StrakeError('invalid_argument', 'an image starts with from()')
    const lines = [this.#from(first, name), ...rest.flatMap((step) => this.#instructions(step))]
    this.#stages.push(`${lines.join('\n')}\n`)
  }

  #from(step: FromStep, name: string | undefined): string {
    const { base } = step
    const platform = base.kind === 'reference' && base.platform !== undefined ? `--platform=${base.platform} ` : ''
    return `FROM ${platform}${this.#nameOf(base, step)}${name === undefined ? '' : ` AS ${name}`}`
  }

  /** What a base is called: a stage is written before the one that asks. */
  #nameOf(base: Base, step: Step): string {
    const name = this.#baseName(base, step)
    this.#bases.set(name, base)
    return name
  }

  #baseName(base: Base, step: Step): string {
    switch (base.kind) {
      case 'scratch':
        return 'scratch'
      case 'reference':
        return base.reference
      case 'image': {
        const [tag] = base.image.tags
        if (tag === undefined) throw unsayable(step, 'the image has no name', 'give it one: await built.tag(…)')
        return tag
      }
      case 'steps':
        return this.#names.get(base.steps) ?? ''
      default:
        throw unsayable(step, 'it starts from no image of a registry', 'build that base with a tag, and start from the tag')
    }
  }

  /** Stages are numbered as they are come upon, without the numbers that images are called by. */
  #nameStages(chains: readonly (readonly Step[])[], taken: ReadonlySet<string>): void {
    let number = 0
    for (const steps of chains) {
      while (taken.has(`stage-${number}`)) number += 1
      this.#names.set(steps, `stage-${number}`)
      number += 1
    }
  }

  #instructions(step: Step): string[] {
    switch (step.kind) {
      case 'from':
        throw unsayable(step, 'a stage begins with FROM, and has no other')
      case 'run':
        return [this.#run(step)]
      case 'copy':
        return this.#copy(step)
      case 'add':
        return [this.#said(step, [addText(step, this.#escaper)])]
      case 'late':
        return [this.#late(step)]
      case 'env':
        return Object.keys(step.variables).length === 0 ? [] : [this.#said(step, [settingsText(step, this.#escaper)])]
      case 'label':
        return Object.keys(step.labels).length === 0 ? [] : [this.#said(step, [settingsText(step, this.#escaper)])]
      default:
        return [this.#said(step, [settingsText(step, this.#escaper)])]
    }
  }

  #run(step: RunStep): string {
    const { env, cwd, user, userns, timeout } = step
    const options = { cwd, user, userns, timeout, env: Object.keys(env).length === 0 ? undefined : env }
    const given = Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [name]))
    if (given.length > 0)
      throw unsayable(step, `RUN has no ${given.join(', ')}`, 'env(), workdir() and user() before it say what can be said')
    // Where the values of its secrets are is for whoever builds.
    const { secrets: _, ...said } = step
    const texts = runTexts(step, (base) => this.#nameOf(base, step), this.#escaper)
    const command = typeof step.command === 'string' && !step.command.endsWith('\n') ? `${step.command}\n` : undefined
    // A last line without an end is the same to a shell.
    return this.#said(said, texts, command === undefined ? undefined : { ...said, command })
  }

  #copy(step: CopyStep): string[] {
    const { source } = step
    if (source.kind !== 'memory') {
      const from = baseName(step, (base) => this.#nameOf(base, step))
      return [this.#said(step, [copyText(step, source.paths, from, this.#escaper)])]
    }
    const { files } = source
    if (files.length > 1 && files.every(({ content, mode }) => mode === 0o644 && isHeredocText(content))) {
      const together = heredocsText(step, files, this.#escaper)
      if (this.#says(together, step)) return [together]
    }
    return files.map((file) => {
      const text = isHeredocText(file.content) ? heredocText(step, file, this.#escaper) : undefined
      if (text !== undefined && this.#writes(text, file.content)) return text
      if (!this.#onFile)
        throw unsayable(
          step,
          text === undefined
            ? `the file ${file.path} is no text whose last line has an end`
            : `no heredoc goes to ${JSON.stringify(targetOf(step, file))}: a name with white space or quotes is no word of a COPY beside one`,
          'take it by onFile, or have it in the context',
        )
      const digest = createHash('sha256').update(file.content).digest('hex').slice(0, 16)
      const path = posix.join(companions, digest, posix.basename(file.path))
      this.#onFile(path, file.content)
      return companionText(step, file, path, this.#escaper)
    })
  }

  /** The late instruction with the names that its bases have here. */
  #late(step: LateStep): string {
    const statement = lateStatement(step)
    if (step.text.includes('\n')) throw unsayable(step, 'a value has several lines')
    const ends = [...statement.flags.slice(1).map(({ offset }) => offset), statement.rest.offset]
    const flags = statement.flags.map(({ offset }, index) =>
      step.text.slice(offset, ends[index]).replace(/((?:^--|[=,])from=)([^,\s]+)/g, (all, head: string, name: string) => {
        const base = step.bases?.[name]
        return base ? head + this.#nameOf(base, step) : all
      }),
    )
    const bodies = (step.heredocs ?? []).map(({ content, name }) => `\n${content}${name}`)
    return `${statement.keyword} ${flags.join('')}${statement.rest.text}${bodies.join('')}`
  }

  /** The first text that a reader understands as the step, or as what is `alike`. */
  #said(step: Step, texts: readonly string[], alike?: Step): string {
    const found = texts.find((text) => this.#says(text, step)) ?? (alike && texts.find((text) => this.#says(text, alike)))
    if (found === undefined) {
      const isCommand = step.kind === 'run' || step.kind === 'cmd' || step.kind === 'entrypoint'
      const hint = isCommand ? 'give the command as an array of words' : 'no value may hold the end of a line'
      throw unsayable(step, 'however it is written, it is not read as the same', hint)
    }
    return found
  }

  #says(text: string, step: Step): boolean {
    const read = this.#read(text)
    return read.length === 1 && isDeepStrictEqual(read[0], step)
  }

  #writes(text: string, content: Uint8Array): boolean {
    const [step, ...more] = this.#read(text)
    return (
      more.length === 0 &&
      step?.kind === 'copy' &&
      step.source.kind === 'memory' &&
      Buffer.from(content).equals(step.source.files[0]?.content ?? Buffer.alloc(0))
    )
  }

  /** What a reader makes of an instruction; nothing when it is none, or has variables. */
  #read(text: string): readonly Step[] {
    try {
      const [line, ...more] = readInstructions(this.#escaper === '`' ? `# escape=\`\n${text}` : text)
      if (!line || more.length > 0) return []
      return translate(parseStatement(line), {
        lookup: () => {
          throw new UnknownVariable()
        },
        given: () => undefined,
        base: (name) => this.#bases.get(name) ?? { kind: 'reference', reference: name },
      })
    } catch (error) {
      if (error instanceof UnknownVariable || (error instanceof StrakeError && error.code === 'dockerfile_invalid')) return []
      throw error
    }
  }
}

/**
 * The steps as a Dockerfile: builds that they start or take files from are its stages. What is read back from it is the same, but for
 * files from memory (one COPY each). Throws `dockerfile_invalid` for what a Dockerfile cannot say.
 */
export function formatDockerfile(steps: readonly Step[], options: ToDockerfileOptions = {}): string {
  checkNames(options)
  return new Writer(steps, options).text()
}
