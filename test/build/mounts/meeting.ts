// Another process that builds with a cache of the store: sharing.test.ts.
import { cache, image } from '../../../lib/index.ts'

const [me = '', sharing = '', command = ''] = process.argv.slice(2)
const built = await image('host')
  .run(command, { env: { ME: me }, mounts: [cache('/c', { id: sharing, sharing: sharing as 'locked' })] })
  .build()
console.log((await built.exec(['cat', '/most'])).stdout)
