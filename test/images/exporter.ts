import { createHash } from 'node:crypto'
import { Writable } from 'node:stream'
import { exportRootfs } from '../../lib/images/export.ts'
import { type LayerEntry, packLayer } from '../../lib/layers/index.ts'
import type { Op } from '../../lib/sys/index.ts'
import { confined } from '../../lib/zygote/index.ts'
import { workshop } from '../layers/workshop.ts'

/** Exports a tree of many files, which is made of a tar, and says whether that comes out again: `exporter.ts FILES FILES-OF-A-DIRECTORY`. */
const [files, each] = process.argv.slice(2).map(Number) as [number, number]
const name = (number: number): string => String(number).padStart(7, '0')

function* entries(): Generator<LayerEntry> {
  for (let at = 0; at < files; at += 1) {
    const directory = `d${name(Math.floor(at / each))}`
    if (at % each === 0) yield { path: directory, type: 'directory' }
    const path = `${directory}/a file of the tree ${name(at)}`
    // Every third one has another link, and every sixth two.
    const isLink = at % each > 2 && (at % 3 === 1 || at % 6 === 2)
    yield isLink
      ? { path, type: 'link', linkPath: `${directory}/a file of the tree ${name(at - (at % 3))}` }
      : { path, type: 'file', content: '' }
  }
}

await using shop = await workshop()
const { digest } = await shop.store.blobs.put(packLayer(entries()))
const [chainId] = await shop.snapshots.ensure([{ digest, diffId: digest }], shop.agent, { ownership: shop.ownership })
if (chainId === undefined) throw new Error('no layer')
const layer = { digest, diffId: digest, chainId, mediaType: '', size: 0 }
const hash = createHash('sha256')
const target = new Writable({
  write(chunk: Buffer, _encoding, done) {
    hash.update(chunk)
    done()
  },
})
const agentFor = (root: string | readonly Op[]) => confined(shop.zygote, root)
await exportRootfs(shop.store, { layers: [layer] }, { agentFor, ownership: shop.ownership }, target)
console.log(`sha256:${hash.digest('hex')}` === digest ? 'the same' : 'another')
