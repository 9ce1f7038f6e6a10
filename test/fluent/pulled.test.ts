// test: timeout 180
// A base that the store does not have comes from its registry, as with FROM of a Dockerfile. The registry is this library's own.
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type BuildEvent, type BuildOptions, image, images, registry, type StrakeError, store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const test = suite('pulled')
const directory = temporaryDirectory('pulled')
const roots = { served: join(directory.path, 'served'), own: join(directory.path, 'own') }

/** Makes `app:1` in the store that is served say something, and goes back to the store that pulls. */
async function publish(says: string): Promise<string> {
  process.env.STRAKE_ROOT = roots.served
  const { digest } = await image('host')
    .copy({ said: `${says}\n`, padding: Buffer.alloc(300_000, says) }, '/')
    .build({ tag: 'app:1' })
  process.env.STRAKE_ROOT = roots.own
  return digest
}

test.before(async () => {
  await publish('first')
})
test.before.each(async () => {
  process.env.STRAKE_ROOT = roots.own
  await store.remove()
})
test.after(async () => {
  for (const root of Object.values(roots)) {
    process.env.STRAKE_ROOT = root
    await store.remove()
  }
  directory[Symbol.dispose]()
})

async function failure(work: Promise<unknown>): Promise<StrakeError> {
  try {
    await work
  } catch (error) {
    return error as StrakeError
  }
  throw new Error('it was to be refused')
}

test('build, exec and start pull the base that is missing; the store has it from then on', async () => {
  await using served = await registry({ root: roots.served })
  const base = `${served.host}/app:1`
  const events: BuildEvent[] = []
  const built = await image(base)
    .run('cp /said /copied')
    .build({ onProgress: (event) => events.push(event) })
  assert.is((await built.exec('cat /copied')).stdout, 'first\n')
  assert.equal((await images.get(base)).tags, [base])
  const pulls = events.flatMap((event) => (event.type === 'pull' ? [event] : []))
  assert.ok(pulls.length > 3 && pulls.every((each) => each.index === 1 && each.reference === base && each.name === `FROM ${base}`))
  const phases = new Set(pulls.filter(({ transfer }) => transfer.kind === 'layer').map(({ transfer }) => transfer.phase))
  assert.ok(['download', 'done', 'unpack', 'unpacked'].every((phase) => phases.has(phase as 'done')))
  assert.ok(events.findIndex(({ type }) => type === 'pull') > events.findIndex(({ type }) => type === 'start'))

  await store.remove()
  assert.is((await image(base).exec('cat /said')).stdout, 'first\n')
  await store.remove()
  await using container = await image(base).start({ cmd: ['sleep', '60'] })
  assert.is((await container.exec('cat /said')).stdout, 'first\n')
})

test('what is copied from an image is pulled, too, and that is told of the step that copies', async () => {
  await using served = await registry({ root: roots.served })
  const events: BuildEvent[] = []
  const built = await image('host')
    .copy('/said', '/from-there', { from: `${served.host}/app:1` })
    .build({ onProgress: (event) => events.push(event) })
  assert.is((await built.exec('cat /from-there')).stdout, 'first\n')
  assert.ok(events.some((event) => event.type === 'pull' && event.index === 2))
})

test('missing asks the registry for nothing that is there, always asks, never does not', async () => {
  const first = await publish('first')
  await using served = await registry({ root: roots.served })
  const base = `${served.host}/app:1`
  const digest = async (options?: BuildOptions): Promise<string> => (await image(base).build(options)).digest
  assert.is((await failure(digest({ pull: 'never' }))).code, 'image_not_found')
  assert.is(await digest(), first)
  const second = await publish('second')
  assert.is(await digest(), first)
  assert.is(await digest({ pull: 'never' }), first)
  assert.is(await digest({ pull: 'always' }), second)
  assert.is(await digest(), second)
  await served.close()
  assert.is(await digest(), second)
  assert.is((await failure(digest({ pull: 'always' }))).code, 'registry_unavailable')
  // A digest means the same wherever it is.
  assert.is((await image(second).build({ pull: 'always' })).digest, second)
})

test('an image that is nowhere is not found at once, and the error says why it could not be pulled', async () => {
  await using served = await registry({ root: roots.served })
  const cases = [
    ['127.0.0.1:1/app:1', 'registry_unavailable', /reached/],
    [`${served.host}/other:1`, 'registry_not_found', /check host, repository and tag/],
  ] as const
  for (const [reference, reason, hint] of cases) {
    const begin = performance.now()
    const error = await failure(image(reference).build())
    assert.is(error.code, 'image_not_found')
    assert.match(error.message, `no image "${reference}" in the store, and it could not be pulled`)
    assert.equal([error.details?.reference, error.details?.reason, (error.cause as StrakeError).code], [reference, reason, reason])
    assert.match(error.hint ?? '', hint)
    assert.ok(performance.now() - begin < 2000)
  }
  assert.is((await failure(Promise.resolve(image('127.0.0.1:1/app:1').exec(['true'])))).code, 'image_not_found')
})

test('a registry that wants credentials is not taken for one without the image silently', async () => {
  await using served = await registry({ root: roots.served, auth: { user: 'password' } })
  const error = await failure(image(`${served.host}/app:1`).build())
  assert.equal([error.code, error.details?.reason], ['image_not_found', 'registry_unauthorized'])
  assert.match(error.hint ?? '', /docker login/)
})

test('an aborted build ends the pull, and a wrong policy is refused', async () => {
  await using served = await registry({ root: roots.served })
  const control = new AbortController()
  const error = await failure(
    image(`${served.host}/app:1`).build({ signal: control.signal, onProgress: ({ type }) => type === 'pull' && control.abort() }),
  )
  assert.is(error.code, 'aborted')
  assert.equal(await images.list(), [])
  assert.is((await failure(image('app:1').build({ pull: 'often' as 'always' }))).code, 'invalid_argument')
})

test('an image of the store that is for another platform is told as such, whether a registry may be asked or not', async () => {
  const name = '127.0.0.1:1/here:1'
  await image('scratch').build({ tag: name })
  for (const pull of ['missing', 'never'] as const) {
    const error = await failure(image(name).build({ platform: 'linux/s390x', pull }))
    assert.is(error.code, 'image_not_found')
    assert.match(error.message, `the image "${name}" of the store is for linux/`)
    assert.match(error.message, 'not for linux/s390x')
    assert.match(error.hint ?? '', 'leave out the platform')
  }
})

test('a platform that the registry does not have is told as such', async () => {
  await using served = await registry({ root: roots.served })
  const error = await failure(image(`${served.host}/app:1`).build({ platform: 'linux/s390x' }))
  assert.is(error.code, 'image_not_found')
  assert.match(error.message, 's390x')
})

test.run()
