import { StrakeError } from '../../errors/index.ts'
import { familiarReference, parseReference } from '../../images/index.ts'
import { type Digest, isDigest } from '../../store/index.ts'
import { Refusal } from './refusal.ts'

declare const brand: unique symbol

/** A repository's name that was checked, and is spelt as the store spells it. */
export type Repository = string & { readonly [brand]: 'Repository' }

/** Where an entry of the store's index stands: under a tag, or as a manifest that is kept for its digest. */
export interface Place {
  readonly repository: Repository
  readonly tag: string | undefined
  readonly digest: Digest | undefined
}

/** distribution-spec, "Pulling manifests". */
const namePattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
const longestName = 255

export function isTag(text: string): boolean {
  return tagPattern.test(text)
}

/**
 * The repository that a client means by a name: what the store calls `app:1` is tag 1 of `app`, and since the store takes `library/debian` and
 * `docker.io/library/debian` for `debian`, as Docker does, the registry does so too. NAME_INVALID for whatever the spec does not allow as name.
 */
export function repositoryOf(name: string): Repository {
  if (name.length <= longestName && namePattern.test(name)) {
    // As a reference some names read otherwise: a first part with a dot is a host, and may be none; 64 hex digits are an image id.
    for (const text of [name, `docker.io/${name}`]) {
      const familiar = familiarName(text)
      if (familiar !== undefined) return familiar as Repository
    }
  }
  throw new Refusal(400, 'NAME_INVALID', 'a repository is made of a-z, 0-9 and single separators between them, up to 255 characters', {
    detail: { name: name.slice(0, longestName) },
  })
}

function familiarName(text: string): string | undefined {
  try {
    const { domain, repository } = parseReference(text)
    return familiarReference({ domain, repository, tag: undefined, digest: undefined })
  } catch (error) {
    if (error instanceof StrakeError) return undefined
    throw error
  }
}

export function nameOfTag(repository: Repository, tag: string): string {
  return `${repository}:${tag}`
}

/** Keeps an untagged manifest in its repository, and from being collected as garbage. */
export function nameOfDigest(repository: Repository, digest: Digest): string {
  return `${repository}@${digest}`
}

/** Where a name of the store's index stands in the registry; undefined for one that it does not serve, such as `127.0.0.1:5000/app:1`. */
export function placeOf(name: string): Place | undefined {
  const at = name.indexOf('@')
  const end = at < 0 ? name.lastIndexOf(':') : at
  if (end < 0) return undefined
  const repository = name.slice(0, end)
  const rest = name.slice(end + 1)
  if (!namePattern.test(repository) || familiarName(repository) === undefined || repositoryOf(repository) !== repository) return undefined
  if (at < 0) return isTag(rest) ? { repository: repositoryOf(repository), tag: rest, digest: undefined } : undefined
  return isDigest(rest) ? { repository: repositoryOf(repository), tag: undefined, digest: rest } : undefined
}
