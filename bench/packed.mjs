// The process in which a tree is packed: `node packed.mjs DIRECTORY FILE gzip|zstd`, with STRAKE_ROOT set; prints { milliseconds, rss } as JSON.
import { readFileSync } from 'node:fs'
import { image } from '../dist/index.js'

const [directory, file, compress] = process.argv.slice(2)
const started = performance.now()
await (await image(directory).build()).save(file, { format: 'oci-archive', compress, tags: ['tree:1'] })
const milliseconds = performance.now() - started
const rss = Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
process.stdout.write(`${JSON.stringify({ milliseconds, rss })}\n`, () => process.exit())
