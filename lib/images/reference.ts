import { invalidOption, kindOfValue, StrakeError } from '../errors/index.ts'
import { type Digest, isDigest } from '../store/index.ts'

/**
 * A checked image reference, all of it spelt out: `debian` is `docker.io/library/debian:latest`. Docker's grammar (distribution/reference,
 * reference.go) and its normalisation.
 */
export interface Reference {
  /** Host, with a port if it has one: `docker.io`, `127.0.0.1:5000`. */
  readonly domain: string
  /** The repository on that host: `library/debian`. */
  readonly repository: string
  /** `latest` where neither tag nor digest is given. */
  readonly tag: string | undefined
  readonly digest: Digest | undefined
}

const defaultDomain = 'docker.io'
/** Of a repository, without its host: as Docker counts. */
const longestName = 255
/** With a host, which has 255 at most, a port, a tag and a digest. */
const longestText = 255 + 6 + 1 + longestName + 129 + 136
const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const host =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/
const tagPattern = /^\w[\w.-]{0,127}$/

/** Parses and normalises a reference; `invalid_reference` says what is wrong with it. */
export function parseReference(text: string): Reference {
  if (typeof text !== 'string') throw invalid(kindOfValue(text), 'it is not a string')
  if (/^[0-9a-f]{64}$/.test(text)) throw invalid(text, '64 hex digits are an image id, not a name')
  if (text.length > longestText) throw invalid(`${text.slice(0, 40)}…`, 'it is too long')
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : text.slice(at + 1)
  if (digest !== undefined && !isDigest(digest)) throw invalid(text, 'what stands after @ is not a digest (sha256: and 64 hex digits)')
  const rest = at < 0 ? text : text.slice(0, at)
  const colon = rest.lastIndexOf(':')
  const hasTag = colon > rest.lastIndexOf('/') && !(rest.startsWith('[') && !rest.includes('/'))
  const tag = hasTag ? rest.slice(colon + 1) : undefined
  if (tag !== undefined && !tagPattern.test(tag))
    throw invalid(text, 'a tag is up to 128 letters, digits, _, . and -, and begins with none of the last two')
  const { domain, repository } = splitName(hasTag ? rest.slice(0, colon) : rest, text)
  return { domain, repository, tag: tag ?? (digest === undefined ? 'latest' : undefined), digest }
}

/**
 * A reference that is to be given to an image as a name. One that reads as a digest (`sha256:` and hex digits) could afterwards be either:
 * `invalid_reference`, as with Docker.
 */
export function parseNewName(text: string): Reference {
  const reference = parseReference(text)
  if (reference.digest === undefined && /^sha(?:256|512):[0-9a-f]+$/.test(familiarReference(reference)))
    throw invalid(text, 'it reads as a digest, and so cannot be a name')
  return reference
}

/** The names that an option `tag` gives: one, several, none. Throws `invalid_argument`, `invalid_reference`. */
export function namesFrom(tag: string | readonly string[] | undefined): readonly string[] {
  const given: unknown = tag
  if (given !== undefined && typeof given !== 'string' && !Array.isArray(given))
    throw invalidOption(`tag must be a name or a list of names, not ${kindOfValue(given)}.`)
  const names = tag === undefined ? [] : typeof tag === 'string' ? [tag] : tag
  for (const name of names) parseNewName(name)
  return names
}

function splitName(name: string, text: string): { domain: string; repository: string } {
  if (name === '') throw invalid(text, 'it has no name')
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const isDomain = first !== '' && (/[.:[]/.test(first) || first === 'localhost' || first !== first.toLowerCase())
  const domain = isDomain ? (first === 'index.docker.io' ? defaultDomain : first) : defaultDomain
  const path = isDomain ? name.slice(slash + 1) : name
  // Docker's parser lets `a_b.example/app` pass, as a name without any host, which nobody can pull.
  if (!host.test(domain)) throw invalid(text, `${JSON.stringify(domain)} is not a host name`)
  const repository = domain === defaultDomain && !path.includes('/') ? `library/${path}` : path
  if (!repository.split('/').every((each) => component.test(each))) {
    throw invalid(
      text,
      path === path.toLowerCase() ? 'a repository is made of a-z, 0-9 and single separators between them' : 'a repository is in lower case',
    )
  }
  if (repository.length > longestName) throw invalid(text, `its name has more than ${longestName} characters`)
  return { domain, repository }
}

function invalid(text: string, why: string): StrakeError {
  return new StrakeError('invalid_reference', `${JSON.stringify(text)} is not an image reference: ${why}`, {
    hint: 'a reference is [host[:port]/]repository[:tag][@digest], for example debian:12 or 127.0.0.1:5000/app',
    details: { reference: text },
  })
}

/** All of it: `docker.io/library/debian:12`. */
export function formatReference(reference: Reference): string {
  return withSuffix(`${reference.domain}/${reference.repository}`, reference)
}

/** As people write it, and as the store names it: `debian:12`. */
export function familiarReference(reference: Reference): string {
  const { domain, repository } = reference
  if (domain !== defaultDomain) return formatReference(reference)
  const short = repository.startsWith('library/') ? repository.slice('library/'.length) : repository
  // What is left must not read as another name: a host in front, or an image id.
  const ambiguous = /^[^/]*[.:][^/]*\//.test(short) || short.startsWith('localhost/') || /^[0-9a-f]{64}$/.test(short)
  return withSuffix(
    ambiguous ? `${domain}/${repository}` : short.includes('/') && repository.startsWith('library/') ? repository : short,
    reference,
  )
}

function withSuffix(name: string, { tag, digest }: Reference): string {
  return `${name}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}
