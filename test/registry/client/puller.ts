import { pullImage } from '../../../lib/registry/index.ts'
import { Store } from '../../../lib/store/index.ts'

// Pulls an image into a store and says its digest: what tests run beside itself, or kill somewhere on the way.
const [root = '', reference = ''] = process.argv.slice(2)
const store = await Store.open(root)
process.stdout.write('open\n')
const { digest } = await pullImage(store, reference, { platform: 'linux/amd64' })
process.stdout.write(`${digest}\n`)
