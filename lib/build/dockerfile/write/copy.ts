import { isUtf8 } from 'node:buffer'
import { posix } from 'node:path'
import type { AddStep, CopySettings, CopyStep, MemoryFile } from '../../step.ts'
import type { Escape } from '../directives.ts'
import { flagText, wordText } from '../quoting.ts'
import { heredocBody, terminator } from './heredoc.ts'
import type { NameOf } from './run.ts'

function flags(step: CopySettings, escaper: Escape, chmod: CopySettings['chmod'] = step.chmod): string {
  const value = (text: string): string => flagText(wordText(text, escaper), escaper)
  const mode = typeof chmod === 'number' ? chmod.toString(8) : chmod
  return [
    step.chown === undefined ? '' : ` --chown=${value(step.chown)}`,
    mode === undefined ? '' : ` --chmod=${value(mode)}`,
    ...(step.exclude ?? []).map((pattern) => ` --exclude=${flagText(pattern, escaper)}`),
    step.link ? ' --link' : '',
  ].join('')
}

/** Sources and destination; in JSON where a word would not stay one, or would begin a heredoc. */
function operands(words: readonly string[], escaper: Escape): string {
  const texts = words.map((word) => wordText(word, escaper))
  const isPlain = texts.every((text) => !/[\s]|<</.test(text)) && !/^(\[|--)/.test(texts[0] ?? '')
  return isPlain ? texts.join(' ') : JSON.stringify(texts)
}

export function addText(step: AddStep, escaper: Escape): string {
  const { sources, destination, checksum, keepArchives, keepGitDir } = step
  const own = [
    checksum === undefined ? '' : ` --checksum=${checksum}`,
    keepArchives === undefined ? '' : ` --unpack=${!keepArchives}`,
    keepGitDir ? ' --keep-git-dir' : '',
  ].join('')
  const words = sources.map((source) => (source.kind === 'path' ? source.path : source.url))
  return `ADD${flags(step, escaper)}${own} ${operands([...words, destination], escaper)}`
}

/** COPY of paths, of the context or of what `from` names. */
export function copyText(step: CopyStep, paths: readonly string[], from: string | undefined, escaper: Escape): string {
  const own = `${from === undefined ? '' : ` --from=${flagText(from, escaper)}`}${step.parents ? ' --parents' : ''}`
  return `COPY${own}${flags(step, escaper)} ${operands([...paths, step.destination], escaper)}`
}

/** Whether a heredoc can hold a file: text whose last line has an end. */
export function isHeredocText(content: Uint8Array): boolean {
  const bytes = Buffer.from(content)
  return isUtf8(bytes) && !bytes.includes(0) && (bytes.length === 0 || bytes.at(-1) === 0x0a)
}

/** Where a file from memory goes. */
export function targetOf({ destination }: CopyStep, { path }: MemoryFile): string {
  const target = posix.join(destination, path)
  return destination.startsWith('./') ? `./${target}` : target
}

/** COPY of a file from memory, as a heredoc. */
export function heredocText(step: CopyStep, file: MemoryFile, escaper: Escape): string {
  const content = Buffer.from(file.content).toString()
  const name = terminator(content)
  const chmod = step.chmod ?? (file.mode === 0o644 ? undefined : file.mode)
  const target = wordText(targetOf(step, file), escaper)
  // A destination with white space has no place beside a heredoc: JSON has none.
  return `COPY${flags(step, escaper, chmod)} <<"${name}" ${target}${heredocBody(content, name)}`
}

/** COPY of several files from memory into one directory, each a heredoc of its own name. */
export function heredocsText(step: CopyStep, files: readonly MemoryFile[], escaper: Escape): string {
  const words = files.map(({ path }) => `<<"${path}"`).join(' ')
  const bodies = files.map(({ path, content }) => heredocBody(Buffer.from(content).toString(), path))
  return `COPY${flags(step, escaper)} ${words} ${wordText(step.destination, escaper)}${bodies.join('')}`
}

/** COPY of a file that lies in the context in place of one from memory. */
export function companionText(step: CopyStep, file: MemoryFile, path: string, escaper: Escape): string {
  return `COPY${flags(step, escaper, step.chmod ?? file.mode)} ${operands([path, targetOf(step, file)], escaper)}`
}

export function baseName(step: CopyStep, nameOf: NameOf): string | undefined {
  return step.source.kind === 'image' ? nameOf(step.source.base) : undefined
}
