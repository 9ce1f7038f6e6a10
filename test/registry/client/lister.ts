import { readFileSync } from 'node:fs'
import { remoteTags } from '../../../lib/registry/index.ts'

// Lists the tags of a repository, or says why not: what tests run with an environment of its own.
const [repository = '', ca = ''] = process.argv.slice(2)
const options = { retries: 0, insecure: false, ...(ca === '' ? {} : { tls: { ca: readFileSync(ca) } }) }
const answer = await remoteTags(repository, options).catch((error: { code: string }) => [error.code])
process.stdout.write(`${answer.join(' ')}\n`)
