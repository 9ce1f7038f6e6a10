// A registry in a process of its own, on the store that is named: it says where, and lives until its input ends.
import { RegistryServer } from '../../../lib/registry/index.ts'

const registry = await RegistryServer.listen({ root: String(process.argv[2]) })
process.stdout.write(`${registry.url}\n`)
process.stdin.on('end', () => void registry.close()).resume()
