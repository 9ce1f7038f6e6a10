import { Images, saveImage } from '../../lib/images/index.ts'
import { Store } from '../../lib/store/index.ts'

// Saves an image of a store as a layout, as one of several processes: `saver.ts STORE NAME DIRECTORY`.
const [root = '', name = '', directory = ''] = process.argv.slice(2)
const store = await Store.open(root)
await saveImage(store, await new Images(store).get(name), directory, { format: 'oci' })
