import { posix } from 'node:path'
import type { Base, CopyStep, Step } from '../../step.ts'
import { addStep } from '../../steps/add.ts'
import { copyStep } from '../../steps/copy.ts'
import { gitSource } from '../../steps/git.ts'
import type { Lookup } from '../expansion.ts'
import { Flags } from '../flags.ts'
import { heredocOf, withoutTabs } from '../heredoc.ts'
import { expanded, expandedContent, failAt, positionOf, type Statement, type Word } from '../statement.ts'
import type { Surroundings, Translate } from '../surroundings.ts'
import { listOf } from './settings.ts'

const shared = { chown: 'text', chmod: 'text', exclude: 'list', link: 'boolean' } as const

/** Sources and destination, parted, not yet expanded. */
interface Operands {
  readonly paths: readonly Word[]
  /** Of heredocs. */
  readonly files: readonly { readonly name: string; readonly content: string; readonly expands: boolean }[]
  readonly destination: Word
}

function operandsOf(statement: Statement): Operands {
  const words = listOf(statement)
  const destination = words.at(-1)
  if (!destination || words.length < 2)
    throw failAt(statement, statement.rest.offset, `${statement.keyword} needs a source and a destination`)
  if (heredocOf(destination.text) && statement.line.heredocs.length > 0)
    throw failAt(statement, destination.offset, `a heredoc is no destination of ${statement.keyword}`)
  const sources = words.slice(0, -1).map((word) => {
    const named = heredocOf(word.text)
    return { word, heredoc: named && statement.line.heredocs.find(({ name }) => name === named.name) }
  })
  const files = sources.flatMap(({ heredoc }) => {
    if (!heredoc) return []
    const { name, content, expands, stripsTabs } = heredoc
    return [{ name, content: stripsTabs ? withoutTabs(content) : content, expands }]
  })
  return { paths: sources.flatMap(({ word, heredoc }) => (heredoc ? [] : [word])), files, destination }
}

interface Settings {
  readonly chown?: string
  readonly chmod?: string
  readonly exclude?: readonly string[]
  readonly link?: boolean
}

function settingsOf(statement: Statement, flags: Flags<keyof typeof shared>, lookup: Lookup): Settings {
  const [chown, chmod] = [flags.text('chown'), flags.text('chmod')].map((word) => (word ? expanded(statement, word, lookup) : ''))
  const exclude = flags.list('exclude').map(({ text }) => text)
  return {
    ...(chown ? { chown } : {}),
    ...(chmod ? { chmod } : {}),
    ...(exclude.length === 0 ? {} : { exclude }),
    ...(flags.boolean('link') ? { link: true } : {}),
  }
}

/** Heredocs as files from memory: each its own file in a directory, or the one file that the destination names. */
function filesStep(statement: Statement, operands: Operands, destination: string, settings: Settings, lookup: Lookup): CopyStep[] {
  const { files, paths } = operands
  if (files.length === 0) return []
  const contents = files.map(({ name, content, expands }): [string, string] => [
    name,
    expands ? expandedContent(statement, content, lookup) : content,
  ])
  if (/(^|\/)\.{0,2}$/.test(destination)) return [copyStep(Object.fromEntries(contents), destination, settings)]
  if (files.length + paths.length > 1) {
    throw failAt(statement, operands.destination.offset, `the destination of several sources must end in "/": ${destination}`)
  }
  const directory = posix.dirname(destination)
  return [
    copyStep(
      Object.fromEntries(contents.map(([, content]) => [posix.basename(destination), content])),
      directory === '/' ? '/' : `${directory}/`,
      settings,
    ),
  ]
}

function checkDestination(statement: Statement, { paths, files, destination }: Operands, text: string): void {
  if (text === '') throw failAt(statement, destination.offset, `the destination of ${statement.keyword} is empty`)
  if (paths.length + files.length > 1 && !/(^|\/)\.{0,2}$/.test(text)) {
    throw failAt(statement, destination.offset, `the destination of several sources must end in "/": ${text}`)
  }
}

function copied(paths: readonly string[], base: Base | undefined, destination: string, settings: Settings & { parents?: boolean }): Step[] {
  if (paths.length === 0) return []
  const step = copyStep(paths, destination, settings)
  if (!base || step.source.kind !== 'context') return [step]
  return [Object.freeze({ ...step, source: Object.freeze({ kind: 'image', base, paths: step.source.paths }) })]
}

export const copy: Translate = (statement, { lookup, base }: Surroundings) => {
  const flags = new Flags(statement, { ...shared, from: 'text', parents: 'boolean' })
  const operands = operandsOf(statement)
  const from = flags.text('from')
  const image = from?.text ? base(from.text, positionOf(statement, from.offset)) : undefined
  if (image && operands.files.length > 0) throw failAt(statement, flags.offset('from'), '--from goes with paths, not with heredocs')
  const settings = settingsOf(statement, flags, lookup)
  const destination = expanded(statement, operands.destination, lookup)
  checkDestination(statement, operands, destination)
  const paths = operands.paths.map((word) => expanded(statement, word, lookup))
  const parents = flags.boolean('parents') ? { parents: true } : {}
  return [
    ...copied(paths, image, destination, { ...settings, ...parents }),
    ...filesStep(statement, operands, destination, settings, lookup),
  ]
}

export const add: Translate = (statement, { lookup }) => {
  const flags = new Flags(statement, { ...shared, checksum: 'text', 'keep-git-dir': 'boolean', unpack: 'boolean' })
  const operands = operandsOf(statement)
  const settings = settingsOf(statement, flags, lookup)
  const destination = expanded(statement, operands.destination, lookup)
  checkDestination(statement, operands, destination)
  const paths = operands.paths.map((word) => expanded(statement, word, lookup))
  const given = flags.text('checksum')
  const checksum = given ? expanded(statement, given, lookup) : ''
  const unpack = flags.boolean('unpack')
  const options = {
    ...settings,
    ...(checksum ? { checksum } : {}),
    ...(unpack === undefined ? {} : { keepArchives: !unpack }),
    ...(flags.boolean('keep-git-dir') && paths.some(gitSource) ? { keepGitDir: true } : {}),
  }
  return [
    ...(paths.length === 0 ? [] : [addStep(paths, destination, options)]),
    ...filesStep(statement, operands, destination, settings, lookup),
  ]
}
