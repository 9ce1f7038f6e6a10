import { loadImages } from '../../lib/images/index.ts'
import { Store } from '../../lib/store/index.ts'

// Loads what comes on stdin, a pipe: `loader.ts STORE [aborted]`. With the second its signal is aborted while it waits.
const [root = '', isAborted] = process.argv.slice(2)
const store = await Store.open(root)
const abort = new AbortController()
if (isAborted) setTimeout(() => abort.abort(), 200)
const said = await loadImages(store, '/dev/stdin', { signal: abort.signal }).then(
  (images) => `loaded ${images.length}`,
  (error: { code?: string }) => error.code,
)
process.stdout.write(`${said}\n`)
