// Prints the session keyring of this process, then that of a container which it starts: <probe> <image>.
import { execFileSync } from 'node:child_process'
import { images } from '../../lib/index.ts'

const [, , probe = '', digest = ''] = process.argv
process.stdout.write(execFileSync(probe, ['keyring']))
const base = await images.get(digest)
process.stdout.write((await base.exec(['/probe', 'keyring'], { capabilities: { add: ['ALL'] }, seccomp: 'unconfined' })).stdout)
