import { spawn } from 'node:child_process'
import { mkdir, rm } from 'node:fs/promises'
import { onAbort, StrakeError } from '../../errors/index.ts'
import type { Store } from '../../store/index.ts'
import type { GitSource } from '../step.ts'
import { ContextDirectory } from './context-directory.ts'
import type { FileSource, SourceEntry, SourceMatch } from './entry.ts'

const fullCommit = /^([0-9a-f]{40}|[0-9a-f]{64})$/
const mostOutput = 16 * 1024 * 1024

/** The files of a commit, until they are disposed of. Each has the commit's time. */
export interface GitFiles extends FileSource {
  readonly commit: string
}

/** Nobody is asked for a password; nothing leads to another repository, or to files of this machine. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) =>
      !/^GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|NAMESPACE|CONFIG_PARAMETERS)$/.test(name),
  )
  return {
    ...Object.fromEntries(own),
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: 'http:https:ssh:git',
    GIT_SSH_COMMAND: process.env.GIT_SSH_COMMAND ?? 'ssh -o BatchMode=yes',
    LC_ALL: 'C',
  }
}

function failed(url: string, why: string, cause?: unknown, hint?: string): StrakeError {
  return new StrakeError('download_failed', `${url} cannot be fetched: ${why}`, { cause, hint, details: { url } })
}

/** git(1) of this machine; resolves to what it printed. Rejects with `download_failed`, with `aborted`. */
async function git(url: string, args: readonly string[], signal: AbortSignal | undefined): Promise<string> {
  // Modes of files are those of the repository, whatever this process masks.
  const child = spawn('/bin/sh', ['-c', 'umask 022; exec git "$@"', 'git', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment(),
    detached: true,
  })
  const end = (): void => {
    // What git has started (ssh, a helper of a protocol) goes with it.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  }
  const forget = onAbort(signal, end)
  if (signal?.aborted) end()
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    if (output.length < mostOutput) output += piece
  })
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    errors = (errors + piece).slice(-4096)
  })
  try {
    const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
    if (signal?.aborted) throw new StrakeError('aborted', 'the download was aborted', { cause: signal.reason })
    if (code === 0) return output
    if (code === 127)
      throw failed(
        url,
        'this machine has no git',
        undefined,
        'install it (Debian: apt-get install git), or add the archive of a commit by its URL',
      )
    throw failed(
      url,
      errors
        .replace(/:\/\/[^/@\s]*@/g, '://')
        .trim()
        .split('\n')
        .slice(-3)
        .join('; ') || `git ended with ${code}`,
    )
  } finally {
    forget()
  }
}

/** The commit that a repository has for the source's branch, tag or commit now; its default branch's where it names none. */
export async function gitCommit({ url, remote, ref = 'HEAD' }: GitSource, signal?: AbortSignal): Promise<string> {
  if (fullCommit.test(ref)) return ref
  const text = await git(url, ['ls-remote', '--', remote, ref, `${ref}^{}`], signal)
  const commits = new Map(text.split('\n').map((line) => [line.split('\t')[1] ?? '', line.split('\t')[0] ?? '']))
  // As gitrevisions(7) has them; a tag stands for the commit that it is of.
  const names = [ref, `refs/${ref}`, `refs/tags/${ref}^{}`, `refs/tags/${ref}`, `refs/heads/${ref}`]
  const found = names.map((name) => commits.get(name)).find((commit) => commit !== undefined && fullCommit.test(commit))
  if (found === undefined) throw failed(url, `there is no branch and no tag ${ref}`, undefined, 'a commit is named by all of its 40 digits')
  return found
}

/** Only what is asked for is fetched; all of the repository where its server does not give a single commit. */
async function fetchCommit(source: GitSource, commit: string, path: string, signal: AbortSignal | undefined): Promise<void> {
  const { url, remote, ref = 'HEAD' } = source
  const fetch = (...args: string[]): Promise<string> => git(url, ['-C', path, 'fetch', '--quiet', ...args], signal)
  try {
    await fetch('--depth=1', '--no-tags', '--', remote, fullCommit.test(ref) ? commit : ref)
    await git(url, ['-C', path, 'cat-file', '-e', `${commit}^{commit}`], signal)
  } catch (error) {
    if (error instanceof StrakeError && error.code === 'aborted') throw error
    await fetch('--tags', '--', remote, '+refs/heads/*:refs/remotes/origin/*')
  }
}

/** Fetches the files of a commit into the store's `tmp/`, submodules included. Rejects with `download_failed`, with `aborted`. */
export async function fetchGit(
  source: GitSource,
  commit: string,
  store: Store,
  options: { readonly keepsGitDir?: boolean | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<GitFiles> {
  const { signal, keepsGitDir } = options
  const { url, remote } = source
  const path = store.temporary('tmp', 'git')
  const clean = (): Promise<void> => rm(path, { recursive: true, force: true })
  const plain = ['-C', path, '-c', 'core.hooksPath=/dev/null', '-c', 'advice.detachedHead=false']
  try {
    await mkdir(path, { mode: 0o755 })
    await git(url, ['init', '--quiet', path], signal)
    await git(url, ['-C', path, 'remote', 'add', 'origin', remote], signal)
    await fetchCommit(source, commit, path, signal)
    await git(url, [...plain, 'checkout', '--quiet', '--detach', commit], signal)
    await git(url, [...plain, 'submodule', '--quiet', 'update', '--init', '--recursive', '--depth=1'], signal)
    const time = Number(await git(url, ['-C', path, 'show', '--no-patch', '--format=%ct', commit], signal))
    return new Checkout(path, commit, time, clean, keepsGitDir === true)
  } catch (error) {
    await clean()
    throw error
  }
}

class Checkout implements GitFiles {
  readonly commit: string
  readonly #files: ContextDirectory
  readonly #time: number
  readonly #clean: () => Promise<void>

  constructor(path: string, commit: string, time: number, clean: () => Promise<void>, keepsGitDir: boolean) {
    this.commit = commit
    this.#time = time
    this.#clean = clean
    const filter = { ignores: (each: string) => /(^|\/)\.git(\/|$)/.test(each), mayHold: () => false }
    this.#files = new ContextDirectory(path, keepsGitDir ? undefined : filter)
  }

  async find(pattern: string): Promise<readonly SourceMatch[]> {
    const matches = await this.#files.find(pattern)
    return matches.map((match) => ({ ...match, entries: match.entries.map((entry) => ({ ...entry, mtime: this.#time })) }))
  }

  read(entry: SourceEntry): AsyncIterable<Buffer> {
    return this.#files.read(entry)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]()
    await this.#clean()
  }
}
