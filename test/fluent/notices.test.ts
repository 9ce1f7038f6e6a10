import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type BuildEvent, image, images, type LayerNotice, registry, type StrakeError, store } from '../../lib/index.ts'
import { tar as archive } from '../layers/tar-maker.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const odd = archive(
  { name: 'dev/null', type: '3', mode: 0o666, major: 1, minor: 3 },
  { name: 'plain', data: 'x' },
  { name: 'labelled', data: 'x', pax: [['SCHILY.xattr.security.selinux', 'label']] },
)
const told = ['dev/null: an empty file in place of the character device 1:3', /^labelled: the xattr "security.selinux" was left out: /]

function areTold(notices: readonly LayerNotice[]): void {
  const lines = notices.map(({ path, message }) => `${path}: ${message}`)
  assert.is(lines.length, told.length, lines.join('\n'))
  for (const [index, each] of told.entries()) assert.match(lines[index] ?? '', each)
}

test('what is not unpacked as the layer has it is told by a build and by a pull, when it is unpacked', async () => {
  using place = temporaryDirectory('notices')
  const before = process.env.STRAKE_ROOT
  process.env.STRAKE_ROOT = join(place.path, 'store')
  const tar = join(place.path, 'odd.tar')
  writeFileSync(tar, odd)
  const events: BuildEvent[] = []
  const onProgress = (event: BuildEvent): unknown => events.push(event)
  const built = await image(tar).copy({ 'more.txt': 'more' }, '/').build({ tag: 'odd:1', onProgress })
  const notices = events.filter((event) => event.type === 'notice')
  areTold(notices)
  assert.match(notices[0]?.name ?? '', /^COPY/)

  mkdirSync(join(place.path, 'context'))
  writeFileSync(join(place.path, 'context/odd.tar'), odd)
  const added: BuildEvent[] = []
  await image('scratch')
    .add('odd.tar', '/')
    .build({ context: join(place.path, 'context'), onProgress: (event) => added.push(event) })
  areTold(added.filter((event) => event.type === 'notice'))

  await using served = await registry({ port: 0, root: join(place.path, 'served') })
  const reference = `${served.host}/odd:1`
  await built.push(reference, { insecure: true })
  await images.remove('odd:1')
  await store.prune({ images: 'all', cache: true })
  const pulled: LayerNotice[] = []
  await images.pull(reference, { insecure: true, onNotice: (notice) => pulled.push(notice) })
  areTold(pulled)
  // What is unpacked already is not unpacked again.
  await images.pull(reference, { insecure: true, onNotice: (notice) => pulled.push(notice) })
  assert.is(pulled.length, told.length)
  await store.remove()
  if (before === undefined) delete process.env.STRAKE_ROOT
  else process.env.STRAKE_ROOT = before
})

test('an onNotice that is no function is refused before anything is asked', async () => {
  const error = await images.pull('127.0.0.1:1/x', { onNotice: true as never }).then(
    () => undefined,
    (failure: StrakeError) => failure,
  )
  assert.is(error?.code, 'invalid_argument')
  assert.match(error?.message ?? '', /onNotice must be a function/)
})

test.run()
