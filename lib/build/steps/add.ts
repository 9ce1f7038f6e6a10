import { optionCheck } from '../../errors/index.ts'
import { isDigest } from '../../store/index.ts'
import { checkText, invalidArgument } from '../argument.ts'
import type { AddSource, AddStep } from '../step.ts'
import { type CopySettingsOptions, checkCopySettings, relativePath } from './copy.ts'
import { gitSource } from './git.ts'

/** See `add`. */
export interface AddOptions extends CopySettingsOptions {
  /** `sha256:…` of what the URL gives; something else is refused with `digest_mismatch`. For one URL only. */
  readonly checksum?: string
  /** `true` copies archives as they are; `false` unpacks downloaded ones, too. Default: those of the context are unpacked. */
  readonly keepArchives?: boolean
  /** Keeps the `.git` of a Git repository. Default false. */
  readonly keepGitDir?: boolean
}

const checkAddOptions = optionCheck<AddOptions>('add', {
  chown: true,
  chmod: true,
  exclude: true,
  link: true,
  checksum: true,
  keepArchives: true,
  keepGitDir: true,
})

function sourceOf(value: unknown): AddSource {
  const text = checkText('add', value)
  const repository = gitSource(text)
  if (repository) return repository
  if (!/^https?:\/\//i.test(text)) return Object.freeze({ kind: 'path', path: relativePath('add', text) })
  if (!URL.canParse(text)) throw invalidArgument('add', `has a URL that is none: ${JSON.stringify(text)}`)
  const { username, password } = new URL(text)
  if (username || password)
    throw invalidArgument('add', 'has a URL with a password, which the history would show', 'Download it by a run that mounts a secret.')
  return Object.freeze({ kind: 'url', url: text })
}

/** An `add` as data: paths of the context, of which archives are unpacked, URLs and Git repositories. */
export function addStep(sources: string | readonly string[], destination: string, options: AddOptions = {}): AddStep {
  checkAddOptions(options)
  const { checksum, keepArchives, keepGitDir } = options
  const given: unknown = typeof sources === 'string' ? [sources] : sources
  if (!Array.isArray(given) || given.length === 0) throw invalidArgument('add', 'needs a path or URL, or several')
  const found = Object.freeze(given.map(sourceOf))
  if (checksum !== undefined && !isDigest(checksum))
    throw invalidArgument('checksum', `must be like sha256:…, not ${JSON.stringify(checksum)}`)
  if (checksum !== undefined && (found.length !== 1 || found[0]?.kind !== 'url')) throw invalidArgument('checksum', 'goes with one URL')
  if (keepArchives !== undefined && typeof keepArchives !== 'boolean') throw invalidArgument('keepArchives', 'must be true or false')
  if (keepGitDir !== undefined && typeof keepGitDir !== 'boolean') throw invalidArgument('keepGitDir', 'must be true or false')
  if (keepGitDir && !found.some(({ kind }) => kind === 'git')) throw invalidArgument('keepGitDir', 'goes with a Git repository')
  return Object.freeze({
    kind: 'add',
    sources: found,
    ...checkCopySettings(destination, options, found.length),
    ...(checksum === undefined ? {} : { checksum }),
    ...(keepArchives === undefined ? {} : { keepArchives }),
    ...(keepGitDir ? { keepGitDir } : {}),
  })
}
