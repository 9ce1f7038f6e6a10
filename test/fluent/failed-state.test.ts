import { join } from 'node:path'
import { inspect } from 'node:util'
import * as assert from 'uvu/assert'
import { BuildError, type Image, type ImageBuilder, image, StrakeError, store } from '../../lib/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const test = suite('failed-state')
const place = temporaryDirectory('failed-state')
process.env.STRAKE_ROOT = join(place.path, 'store')

test.after(async () => {
  await store.remove()
  place[Symbol.dispose]()
})

const bare = image('scratch').copy('/', '/', { from: 'host' })

async function failureOf(app: ImageBuilder): Promise<BuildError<Image>> {
  const error = await app
    .run('echo kept > /kept')
    .run('exit 3')
    .build()
    .catch((each: unknown) => each)
  assert.instance(error, BuildError)
  return error as BuildError<Image>
}

for (const [what, app] of [
  ['no command', bare],
  ['a shell as its command', image('host')],
  ['a command that stays', bare.cmd(['sleep', '600'])],
] as const)
  test(`e.state.start() gives a container to look around in, of an image with ${what}`, async () => {
    const e = await failureOf(app)
    await using container = await e.state.start()
    assert.is((await container.exec('cat /kept')).stdout, 'kept\n')
    assert.is(container.state, 'running')
  })

test('the state is the image as it was: the command is of its start alone, and other images without one are refused still', async () => {
  const { state } = await failureOf(bare)
  assert.equal([state.config.Cmd, state.config.Entrypoint], [undefined, undefined])
  const error = await bare.start().catch((each: unknown) => each)
  assert.ok(error instanceof StrakeError)
  assert.is(error.code, 'invalid_argument')
})

async function failureOfBuild(app: ImageBuilder): Promise<BuildError<Image>> {
  const error = await app.build().catch((each: unknown) => each)
  assert.instance(error, BuildError)
  return error as BuildError<Image>
}

test('an error that nobody catches is printed without the whole image, and what the step printed cannot change the terminal', async () => {
  const e = await failureOfBuild(image('host').run("printf 'a\\033[2Jb\\n'; exit 3"))
  assert.not.match(inspect(e, { customInspect: false }), 'sha256:')
  assert.match(e.message, /exit code 3: ab$/m)
  assert.match(e.hint ?? '', 'details.log')
  assert.match(e.state.digest, /^sha256:/)
  const silent = await failureOfBuild(image('host').run('exit 4'))
  assert.not.match(silent.hint ?? '', 'details.log')
})

test('of an image without a shell, the state says how to look at it', async () => {
  const e = await failureOfBuild(image('scratch').copy({ file: 'x' }, '/').run('true'))
  const error = await e.state.start().catch((each: unknown) => each)
  assert.ok(error instanceof StrakeError)
  assert.is(error.code, 'command_not_found')
  assert.match(error.hint ?? '', 'export(')
})

test.run()
