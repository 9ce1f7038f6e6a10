import * as assert from 'uvu/assert'
import {
  checkLayerCount,
  formatConfig,
  indexMediaType,
  manifestMediaType,
  matchesPlatform,
  parseConfig,
  parseManifest,
  parsePlatform,
} from '../../lib/images/index.ts'
import { test } from '../support/uvu.ts'

const digest = `sha256:${'0'.repeat(64)}`
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 1 }
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 1 }
const good = { schemaVersion: 2, mediaType: manifestMediaType, config, layers: [layer] }
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

/** `type limit`, or the code and limit of the error; anything but a StrakeError shows as itself. */
function outcome(work: () => unknown): string {
  try {
    work()
    return 'accepted'
  } catch (error) {
    const { code, details, name } = error as { code?: string; details?: { limit?: string }; name: string }
    return [code ?? name, details?.limit].filter(Boolean).join(' ')
  }
}

test('OCI and Docker manifests are read', () => {
  const parsed = parseManifest(json({ ...good, annotations: { a: 'b' } }), manifestMediaType)
  assert.is(parsed.kind, 'manifest')
  assert.equal(parsed.annotations, { a: 'b' })
  const docker = {
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config: { ...config, mediaType: 'application/vnd.docker.container.image.v1+json' },
    layers: [{ ...layer, mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip' }],
  }
  assert.is(parseManifest(json(docker), docker.mediaType).kind, 'manifest')
  assert.is(
    outcome(() => parseManifest(json({ ...good, mediaType: undefined }), manifestMediaType)),
    'accepted',
  )
  assert.is(parseManifest(json({ schemaVersion: 2, manifests: [] }), indexMediaType).kind, 'index')
})

const manifests: readonly [string, unknown, string, string][] = [
  ['I02: both layers and manifests', { ...good, manifests: [] }, manifestMediaType, 'image_invalid'],
  ['I02: another media type in the body', { ...good, mediaType: indexMediaType }, manifestMediaType, 'image_invalid'],
  ['I02: a manifest announced as an index', good, indexMediaType, 'image_invalid'],
  ['I02: an index announced as a manifest', { schemaVersion: 2, manifests: [] }, manifestMediaType, 'image_invalid'],
  [
    'I03: 100,000 entries',
    { schemaVersion: 2, manifests: Array.from({ length: 100_000 }, () => 0) },
    indexMediaType,
    'limit_exceeded listEntries',
  ],
  ['I03: 10,000 layers', { ...good, layers: Array.from({ length: 10_000 }, () => layer) }, manifestMediaType, 'limit_exceeded listEntries'],
  ['I03: 10 MB', { ...good, annotations: { a: 'x'.repeat(10_000_000) } }, manifestMediaType, 'limit_exceeded manifestBytes'],
  ['I04: a digest that is a path', { ...good, config: { ...config, digest: 'sha256:../../x' } }, manifestMediaType, 'image_invalid'],
  [
    'I04: an upper-case digest',
    { ...good, layers: [{ ...layer, digest: `sha256:${'A'.repeat(64)}` }] },
    manifestMediaType,
    'image_invalid',
  ],
  ['a negative size', { ...good, layers: [{ ...layer, size: -1 }] }, manifestMediaType, 'image_invalid'],
  ['a size that is text', { ...good, layers: [{ ...layer, size: '1' }] }, manifestMediaType, 'image_invalid'],
  ['no config', { ...good, config: undefined }, manifestMediaType, 'image_invalid'],
  ['layers that are an object', { ...good, layers: {} }, manifestMediaType, 'image_invalid'],
  ['schema version 1', { ...good, schemaVersion: 1 }, manifestMediaType, 'image_invalid'],
  ['an artifact', { ...good, config: { ...config, mediaType: 'application/vnd.oci.empty.v1+json' } }, manifestMediaType, 'image_invalid'],
  ['a layer that is none', { ...good, layers: [{ ...layer, mediaType: 'text/html' }] }, manifestMediaType, 'image_invalid'],
  ['an unknown media type', good, 'text/html', 'image_invalid'],
  ['__proto__ as a media type', good, '__proto__', 'image_invalid'],
  ...[null, [], 7, 'x', true, {}].map((value): [string, unknown, string, string] => [
    `the JSON ${JSON.stringify(value)}`,
    value,
    manifestMediaType,
    'image_invalid',
  ]),
]
for (const [what, value, mediaType, expected] of manifests) {
  test(`a manifest with ${what} is refused`, () =>
    assert.is(
      outcome(() => parseManifest(json(value), mediaType)),
      expected,
    ))
}

test('a manifest that is not JSON, or not UTF-8, is refused', () => {
  assert.is(
    outcome(() => parseManifest(Buffer.from('{'), manifestMediaType)),
    'image_invalid',
  )
  assert.is(
    outcome(() => parseManifest(Buffer.from([0x22, 0xff, 0x22]), manifestMediaType)),
    'image_invalid',
  )
  assert.is(
    outcome(() => parseManifest(Buffer.from('['.repeat(100_000)), manifestMediaType)),
    'image_invalid',
  )
})

test('a config comes back as it was written', () => {
  const image = {
    platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
    created: '2024-01-01T00:00:00Z',
    author: 'a',
    diffIds: [digest as never],
    config: {
      User: 'u',
      Env: ['A=b'],
      Cmd: ['c'],
      Entrypoint: ['e'],
      ExposedPorts: { '80/tcp': {} },
      Volumes: { '/d': {} },
      WorkingDir: '/w',
      Labels: { l: 'm' },
      StopSignal: 'SIGINT',
      Shell: ['/bin/bash', '-c'],
      Healthcheck: { Test: ['NONE'], Interval: 5 },
      OnBuild: ['RUN x'],
    },
    history: [{ created_by: 'x', empty_layer: true }],
  }
  assert.equal(parseConfig(formatConfig(image)), image)
  assert.is(formatConfig(image).toString(), formatConfig(parseConfig(formatConfig(image))).toString())
})

const fields = ['architecture', 'os', 'variant', 'created', 'author', 'config', 'rootfs', 'history']
const executionFields = [
  'User',
  'ExposedPorts',
  'Env',
  'Entrypoint',
  'Cmd',
  'Volumes',
  'WorkingDir',
  'Labels',
  'StopSignal',
  'Shell',
  'Healthcheck',
  'OnBuild',
]

test('I05: a config with null everywhere, or nothing anywhere, gets defaults', () => {
  const nothing = parseConfig(json(Object.fromEntries(fields.map((name) => [name, null]))))
  assert.equal(nothing.config, {})
  assert.equal(nothing.diffIds, [])
  assert.is(nothing.platform.os, 'linux')
  assert.equal(parseConfig(json({})), nothing)
  assert.equal(
    parseConfig(json({ rootfs: { diff_ids: null }, config: Object.fromEntries(executionFields.map((name) => [name, null])) })),
    nothing,
  )
})

test('I05: a config whose fields have wrong types is refused, never a TypeError', () => {
  const odd = [7, 'x', true, [], {}, [null], [[]], { a: null }, { a: [] }]
  for (const value of odd) {
    for (const name of fields)
      assert.ok(
        ['accepted', 'image_invalid'].includes(outcome(() => parseConfig(json({ [name]: value })))),
        `${name}: ${JSON.stringify(value)}`,
      )
    for (const name of executionFields)
      assert.ok(
        ['accepted', 'image_invalid'].includes(outcome(() => parseConfig(json({ config: { [name]: value } })))),
        `config.${name}: ${JSON.stringify(value)}`,
      )
  }
  assert.is(
    outcome(() => parseConfig(json({ config: { Env: [null] } }))),
    'image_invalid',
  )
  assert.is(
    outcome(() => parseConfig(json({ config: { Cmd: 'sh' } }))),
    'image_invalid',
  )
  assert.is(
    outcome(() => parseConfig(json({ rootfs: { diff_ids: ['x'] } }))),
    'image_invalid',
  )
  for (const value of [null, [], 7, 'x'])
    assert.is(
      outcome(() => parseConfig(json(value))),
      'image_invalid',
    )
})

test('I05: a config with 1 MB of environment is read', () => {
  assert.is(parseConfig(json({ config: { Env: [`A=${'x'.repeat(1_000_000)}`] } })).config.Env?.[0]?.length, 1_000_002)
})

test('a key called __proto__ is a key', () => {
  const { Labels } = parseConfig(Buffer.from('{"config":{"Labels":{"__proto__":"x"}}}')).config
  assert.equal(Object.entries(Labels ?? {}), [['__proto__', 'x']])
  assert.is(Object.getPrototypeOf(Labels), Object.prototype)
})

test('a diffID that is not compared is refused by its algorithm, before anything is unpacked', () => {
  const config = parseConfig(json({ rootfs: { diff_ids: [`sha512:${'0'.repeat(128)}`] } }))
  assert.throws(() => checkLayerCount(config, 1), /sha512/)
})

test('platforms match by system, architecture, and variant where both have one', () => {
  assert.ok(matchesPlatform(parsePlatform('linux/arm64/v8'), parsePlatform('linux/arm64')))
  assert.ok(matchesPlatform(parsePlatform('linux/arm64'), parsePlatform('linux/arm64/v8')))
  assert.not(matchesPlatform(parsePlatform('linux/arm/v6'), parsePlatform('linux/arm/v7')))
  assert.not(matchesPlatform(parsePlatform('windows/amd64'), parsePlatform('linux/amd64')))
  assert.is(
    outcome(() => parsePlatform('linux')),
    'invalid_argument',
  )
  assert.is(
    outcome(() => parsePlatform('a/b/c/d')),
    'invalid_argument',
  )
})

test.run()
