// Tests against a service, each on a copy of its own: none sees what another did. Run it: npx tsx examples/fixture.uvu.ts
import type { Image } from 'strake'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Counter, seeded } from './fixture.ts'

const test = suite<{ state: Image }>('counter')

test.before(async (context) => {
  context.state = await seeded(3)
})

test('starts with its seed', async ({ state }) => {
  await using counter = await Counter.start(state)
  assert.is(await counter.ask('show'), 3)
})

test('counts on', async ({ state }) => {
  await using counter = await Counter.start(state)
  await counter.ask('add')
  assert.is(await counter.ask('add'), 5)
})

test('starts with its seed again, whatever the test before did; copies side by side do not see each other', async ({ state }) => {
  await using one = await Counter.start(state)
  await using other = await Counter.start(state)
  assert.is(await one.ask('add'), 4)
  assert.is(await other.ask('show'), 3)
})

test.run()
