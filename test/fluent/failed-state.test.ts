import { join } from 'node:path'
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

test.run()
