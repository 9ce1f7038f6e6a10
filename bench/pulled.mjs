// The process in which a pull is measured: `node pulled.mjs REFERENCE`, with STRAKE_ROOT set; prints { milliseconds, rss } as JSON.
import { readFileSync } from 'node:fs'
import { images } from '../dist/index.js'

const started = performance.now()
await images.pull(process.argv[2])
const milliseconds = performance.now() - started
const rss = Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
process.stdout.write(`${JSON.stringify({ milliseconds, rss })}\n`, () => process.exit())
