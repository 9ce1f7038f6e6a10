import { ensureSnapshots, importImage } from '../../lib/images/index.ts'
import { Store } from '../../lib/store/index.ts'
import { closeZygote, confined, zygoteOf } from '../../lib/zygote/index.ts'

// Imports a root file system into a store, unpacks it, says the image's digest: what a test kills somewhere on the way.
const [root = '', path = ''] = process.argv.slice(2)
const store = await Store.open(root)
process.stdout.write('open\n')
const image = await importImage(store, { kind: 'rootfs', path })
const zygote = await zygoteOf(root)
await ensureSnapshots(store, image, (each) => confined(zygote, each), { ownership: zygote.ids.kind !== 'single' })
await closeZygote(root)
process.stdout.write(`${image.digest}\n`)
