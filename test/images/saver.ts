import { Images, type SaveFormat, saveImage } from '../../lib/images/index.ts'
import { Store } from '../../lib/store/index.ts'

// Saves an image of a store, as one of several processes: `saver.ts STORE NAME TARGET [FORMAT [killed]]`. With the last it is killed in the middle.
const [root = '', name = '', target = '', format = 'oci', isKilled] = process.argv.slice(2)
const store = await Store.open(root)
const image = await new Images(store).get(name)
if (isKilled) store.blobs.stream = async () => process.kill(process.pid, 'SIGKILL') as never
await saveImage(store, image, target, { format: format as SaveFormat })
