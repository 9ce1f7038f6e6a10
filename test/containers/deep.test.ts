// Directories deeper than any path that the kernel takes in one call.
import * as assert from 'uvu/assert'
import { type Image, image, StrakeError } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'

const name = 'd'.repeat(50)
/** Each directory is put into the one that is made next. */
const deep = `
mkdir /t
i=0
while [ $i -lt 600 ]; do
  mkdir /t/next || exit 1
  [ ! -e /t/deep ] || mv /t/deep /t/next/${name} || exit 1
  mv /t/next /t/deep || exit 1
  i=$((i + 1))
done`

async function refusalOf(work: () => PromiseLike<unknown>): Promise<StrakeError> {
  const error = await Promise.resolve(work()).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof StrakeError) return error
  throw new Error('it was accepted', { cause: error })
}

function assertReadable(error: StrakeError): void {
  assert.equal([error.code, error.details?.limit], ['limit_exceeded', 'pathBytes'])
  assert.match(error.message, /^(run: )?\/?t\/deep\/d{50}\//)
  assert.ok(error.message.length < 400, error.message)
  assert.not.match(JSON.stringify(error.details), '"Buffer"')
}

test('what a run or a container leaves that is too deep for a layer is refused by the limit’s name', async () => {
  const built: Image = await image('host').build()
  assertReadable(await refusalOf(() => image(built).run(deep).build()))
  await using container = await built.start({ cmd: ['sleep', '600'] })
  await container.exec(deep, { check: true })
  assertReadable(await refusalOf(() => container.snapshot()))
})

test.run()
