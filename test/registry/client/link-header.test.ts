// Lists in pages, and the headers that name the next one.
import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { linkOf, parseLinks } from '../../../lib/registry/client/link-header.ts'
import { pullImage, pushImage, remoteCatalog, remoteReferrers, remoteTags } from '../../../lib/registry/index.ts'
import { makeImage } from '../../images/maker.ts'
import { file, tar } from '../../layers/tar-maker.ts'
import { has } from '../../support/machine.ts'
import { skip } from '../../support/skip.ts'
import { test } from '../../support/uvu.ts'
import { authority } from './distribution.ts'
import { desk, failure, type Pretender, pretend, refuse, type Trick } from './pretender.ts'

const image = makeImage([tar(file('a', 'a'))])
const quick = { retries: 0 }
const digests = ['1', '2', '3'].map((each) => `sha256:${each.repeat(64)}`)

/** The headers that follow `<URL>` as the next page of a list; what else is there is none. */
const spellings: readonly ((target: string) => string | string[])[] = [
  (target) => `<${target}>; rel="next"`,
  (target) => `<${target}>;rel=next`,
  (target) => `<${target}>; title="p"; rel="next"`,
  (target) => `<${target}> ; REL = "NEXT"`,
  (target) => `<${target}>; rel="last  next"; type="application/json"`,
  (target) => `<${target}>; title="a, <b>; rel=\\"prev\\""; rel=next`,
  (target) => `</first>; rel="first", <${target}>; rel="next"`,
  (target) => `</first>; rel="first";, ,<${target}>;; rel="next"`,
  (target) => ['</docs>; rel="help"', `<${target}>; rel="next"`],
  (target) => `broken, <${target}>; rel=next`,
  (target) => `<${target}>; crossorigin; rel=next; rel=prev`,
]

/** A registry whose lists have three pages of one entry. */
function paged(linkTo: (target: string) => string | string[]): Trick {
  return (request, response) => {
    const page = Number(request.query.get('page') ?? 0)
    const name = `n${page}`
    const descriptor = { mediaType: image.descriptor.mediaType, digest: digests[page], size: 100 }
    const value = request.path.endsWith('/_catalog')
      ? { repositories: [name] }
      : request.path.includes('/referrers/')
        ? { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [descriptor] }
        : request.path.endsWith('/tags/list')
          ? { tags: [name] }
          : undefined
    if (value === undefined) return undefined
    if (page < 2) response.setHeader('link', linkTo(`${request.path}?page=${page + 1}`))
    response.setHeader('content-type', 'application/json').end(JSON.stringify(value))
    return true
  }
}

async function allIsListed(registry: Pretender, options: Parameters<typeof remoteTags>[1] = quick): Promise<void> {
  assert.equal(await remoteTags(`${registry.host}/app`, options), ['n0', 'n1', 'n2'])
  assert.equal(await remoteCatalog(registry.host, options), ['n0', 'n1', 'n2'])
  const referrers = await remoteReferrers(`${registry.host}/app@${image.descriptor.digest}`, options)
  assert.equal(
    referrers.map(({ digest }) => digest),
    digests,
  )
}

for (const spelling of spellings)
  test(`all pages are listed where the next one is named by ${JSON.stringify(spelling('/x'))}`, async () => {
    await using registry = await pretend({ 'app:1': image }, { trick: paged(spelling) })
    await allIsListed(registry)
  })

test('links that are not of the next page, and none at all, end a list', () => {
  for (const header of [
    '</a>; rel="prev"',
    '</a>; rel="nextish"',
    '</a>; rel="prev"; rel="next"',
    '</a>; title="rel=next"',
    '</a',
    '',
    '</a>',
  ])
    assert.is(linkOf([header], 'next'), undefined, header)
  assert.is(linkOf([], 'next'), undefined)
  assert.equal(parseLinks('<a,b>; x="1\\"2", <c>;y')[0]?.parameters.get('x'), '1"2')
  assert.is(parseLinks(`<a>${'; '.repeat(8000)}"`).length, 1)
})

test('a next page that is no address, or on another host, is no silent end of a list', async () => {
  for (const target of ['http://[x', 'http://elsewhere.example/v2/']) {
    await using registry = await pretend({}, { trick: paged(() => `<${target}>; rel="next"`) })
    assert.is((await failure(remoteTags(`${registry.host}/app`, quick))).code, 'registry_protocol')
  }
})

test('a page of referrers that is not there, where it was named, is no end of the list', async () => {
  await using registry = await pretend({ 'app:1': image }, { trick: paged((target) => `<${target}>; rel="next"`) })
  registry.tricks.push((request, response) => {
    if (request.query.get('page') !== '1') return undefined
    refuse(response, 404, 'NOT_FOUND')
    return true
  })
  const error = await failure(remoteReferrers(`${registry.host}/app@${image.descriptor.digest}`, quick))
  assert.is(error.code, 'registry_not_found')
})

for (const [what, body] of Object.entries({ 'a page of HTML': '<html>', 'no index': '[]', 'a list of nonsense': '{"manifests":[7]}' }))
  test(`lists for which ${what} comes are registry_protocol`, async () => {
    await using registry = await pretend({ 'app:1': image })
    registry.tricks.push((request, response) => {
      if (!/_catalog|tags\/list|referrers/.test(request.path)) return undefined
      response.setHeader('content-type', 'text/html').end(body)
      return true
    })
    const error = await failure(remoteReferrers(`${registry.host}/app@${image.descriptor.digest}`, quick))
    assert.is(error.code, 'registry_protocol', error.message)
    assert.ok(error.hint)
  })

test('behind a proxy that ends TLS, URLs of the same host with http: are followed by TLS', async () => {
  if (!has('openssl')) return skip('openssl is not installed')
  await using here = await desk()
  const paths = authority(here.path)
  const [ca, cert, key] = [paths.ca, paths.cert, paths.key].map((path) => readFileSync(path, 'utf8')) as [string, string, string]
  await using registry = await pretend({ 'app:1': image }, { tls: { cert, key } })
  const options = { ...quick, tls: { ca } }
  registry.tricks.push(paged((target) => `<http://${registry.host}${target}>; rel="next"`))
  await allIsListed(registry, options)

  const pulled = await pullImage(here.store, `${registry.host}/app:1`, options)
  registry.tricks.push(({ method, path }, response) => {
    if (method === 'HEAD') refuse(response, 404, 'BLOB_UNKNOWN')
    else if (method === 'POST') response.writeHead(202, { location: `http://${registry.host}${path}1` }).end()
    else if (method === 'PUT') response.writeHead(201).end()
    else return undefined
    return true
  })
  assert.is((await pushImage(here.store, pulled, `${registry.host}/other:1`, { ...options, compression: 'none' })).uploaded, 2)
})

test.run()
