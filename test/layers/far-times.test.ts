// Times beyond what some file systems keep: ext4 ends in 2446, or in 2038, and begins in 1901.
import * as assert from 'uvu/assert'
import { fromByteString } from '../../lib/layers/names.ts'
import { decodeRecords } from '../../lib/sys/index.ts'
import { test } from '../support/uvu.ts'
import { dir, file, raw, tar } from './tar-maker.ts'
import { workshop } from './workshop.ts'

const far: Readonly<Record<string, number>> = {
  'd/late': 884_541_340_800,
  late: 884_541_340_800,
  link: 884_541_340_800,
  early: -30_000_000_000,
}

test('L14: a time that this file system does not keep is told with what it became; one that it keeps, or that was replaced, is not', async () => {
  await using shop = await workshop()
  const at = (sec: number | undefined): [string, string][] => [['mtime', String(sec)]]
  const layer = tar(
    dir('d'),
    raw({ name: 'd/late', data: 'x', pax: at(far['d/late']) }),
    raw({ name: 'late', type: '5', pax: at(far.late) }),
    raw({ name: 'link', type: '2', linkName: 'x', pax: at(far.link) }),
    raw({ name: 'early', data: 'x', pax: at(far.early) }),
    raw({ name: 'replaced', data: 'x', pax: at(far.late) }),
    raw({ name: '1999', data: 'x', pax: at(930_000_000) }),
    file('replaced', 'y'),
  )
  const { notices, chain } = await shop.unpack([layer])
  await using agent = await shop.agent(shop.snapshots.agentPath(chain[0] as never))
  const expected: string[] = []
  for (const [path, sec] of Object.entries(far)) {
    const { results } = await agent.run([{ op: 'stat', path: fromByteString(`/${path}`) }])
    const became = decodeRecords(results[0] as Uint8Array)[0]?.mtimeSec ?? 0
    if (became !== sec) expected.push(`${path} ${new Date(became * 1000).toISOString()} ${sec > 0 ? 'later' : 'earlier'}`)
  }
  const told = notices.map(({ path, message }) => `${path} ${/became (\S+):/.exec(message)?.[1]} ${/(\w+)$/.exec(message)?.[1]}`)
  assert.equal(told.sort(), expected.sort())
})

test.run()
