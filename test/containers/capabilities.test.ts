// What a command may do at most, whoever it is.
import * as assert from 'uvu/assert'
import { type Image, image } from '../../lib/index.ts'
import { test } from '../support/uvu.ts'

let built: Image

test.before(async () => {
  built = await image('host').build()
})

const docker = '00000000a80425fb'
const bounding = (text: string): string | undefined => /^CapBnd:\s*(\w+)/m.exec(text)?.[1]

for (const user of [undefined, '1', '1000:1000']) {
  test(`as ${user ?? 'root'} the bounding set is that of the capabilities, in a start and in an exec`, async () => {
    const look = ['cat', '/proc/self/status']
    assert.is(bounding((await built.exec(look, { user })).stdout), docker)
    assert.is(bounding((await built.exec(look, { user, capabilities: { drop: ['ALL'] } })).stdout), '0'.repeat(16))
    assert.is(bounding((await built.exec(look, { user, capabilities: { drop: ['ALL'], add: ['CHOWN'] } })).stdout), '0000000000000001')
    await using container = await built.start({ cmd: ['sleep', '100'], user, capabilities: { drop: ['ALL'] } })
    assert.is(bounding((await container.exec(look)).stdout), '0'.repeat(16))
    assert.is(bounding((await container.exec(look, { user: '7' })).stdout), '0'.repeat(16))
  })
}

test.run()
