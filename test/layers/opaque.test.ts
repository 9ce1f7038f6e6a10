import * as assert from 'uvu/assert'
import { test } from '../support/uvu.ts'
import { dir, file, tar } from './tar-maker.ts'
import { type Workshop, workshop } from './workshop.ts'

let place: Workshop

test.before(async () => {
  place = await workshop()
})
test.after(async () => {
  await place[Symbol.asyncDispose]()
})

const below = {
  'was opaque': [tar(file('d/old')), tar(file('d/.wh..wh..opq'), file('d/kept'))],
  'took the place of another': [tar(file('d/old')), tar(file('.wh.d'), dir('d'), file('d/kept'))],
}

for (const [what, layers] of Object.entries(below)) {
  test(`L05: a file in a directory that ${what} below, without an entry for it, hides nothing there`, async () => {
    const { tree } = await place.unpack([...layers, tar(file('d/new'))])
    assert.equal(tree, { '/': 'dir 755', d: 'dir 755', 'd/new': 'file 644' })
  })

  test(`L05: a whiteout in a directory that ${what} below, without an entry for it, hides that name and no other`, async () => {
    const { tree } = await place.unpack([...layers, tar(file('d/.wh.kept'))])
    assert.equal(tree, { '/': 'dir 755', d: 'dir 755', 'd/kept': 'whiteout' })
  })
}

test.run()
