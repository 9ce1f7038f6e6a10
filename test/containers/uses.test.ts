import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ImageUses } from '../../lib/containers/uses.ts'
import { digestOf, Store } from '../../lib/store/index.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const imageOf = (name: string) =>
  ({ layers: [{ digest: digestOf(name), chainId: digestOf(name) }] }) as unknown as Parameters<ImageUses['begin']>[1]

test('letting go of an image some time after its last container ends no process whose store somebody has removed', async () => {
  using place = temporaryDirectory('uses')
  const store = await Store.open(join(place.path, 'store'))
  const uses = new ImageUses(store, () => undefined)
  await uses.begin('one', imageOf('one'))
  await uses.begin('other', imageOf('other'))
  rmSync(store.root, { recursive: true })
  uses.end('one')
  await sleep(10_200)
})

test.run()
