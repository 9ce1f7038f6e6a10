import { invalidArgument } from '../argument.ts'
import type { GitSource } from '../step.ts'

const repository = /^(?:git@[\w.-]+:|git:\/\/|ssh:\/\/|https?:\/\/[^#?]+\.git(?:#|$))/i

/**
 * A Git repository as `ADD` names it: `https://….git`, `git://…`, `ssh://…` or `git@host:path`, each with `#branch`, `#tag` or `#commit`, and `:directory` after
 * that. Undefined for what is none.
 */
export function gitSource(text: string): GitSource | undefined {
  if (!repository.test(text)) return undefined
  const [remote = '', fragment = '', ...more] = text.split('#')
  const [ref = '', directory = '', ...others] = fragment.split(':')
  const names = directory.split('/').filter((name) => name !== '' && name !== '.')
  if (more.length > 0 || others.length > 0 || names.includes('..')) throw invalidArgument('add', `has a repository that is none: ${text}`)
  // As a word of a command it would be an option; the rest is what git-check-ref-format(1) forbids.
  if (/^-|[\x00-\x20~^?*[\\\x7f]|\.\./.test(ref)) throw invalidArgument('add', `has a branch, tag or commit that cannot be one: ${ref}`)
  if (!remote.startsWith('git@')) checkUrl(remote)
  return Object.freeze({
    kind: 'git',
    url: text,
    remote,
    ...(ref === '' ? {} : { ref }),
    ...(names.length === 0 ? {} : { directory: names.join('/') }),
  })
}

function checkUrl(remote: string): void {
  if (!URL.canParse(remote)) throw invalidArgument('add', 'has a URL of a repository that is none')
  const { protocol, username, password } = new URL(remote)
  if (password || (username && protocol !== 'ssh:'))
    throw invalidArgument(
      'add',
      'has a URL with a password, which the history would show',
      'Let git know it: by a credential helper, or by an SSH agent and a git@… address.',
    )
}
