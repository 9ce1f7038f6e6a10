import { inspect } from 'node:util'
import { cache, image } from '../../lib/index.ts'

/** What the worker builds, one after the other: commands on the host base. */
export interface Work {
  readonly commands: readonly string[]
  /** Of the mount /c. */
  readonly sharing?: 'locked' | 'private' | 'shared'
}

/** One line of its output: what became of a build. */
export interface Outcome {
  readonly digest?: string
  readonly code?: string
  readonly message?: string
  readonly log?: string
  readonly step?: string
  readonly state?: string
}

const { commands, sharing }: Work = JSON.parse(process.argv[2] ?? '')
const mounts = sharing ? { mounts: [cache('/c', { sharing })] } : {}
for (const list of commands.map((command) => command.split(' ;; '))) {
  const builder = list.reduce((app, command) => app.run(command, mounts), image('host'))
  const outcome = await builder
    .build({
      onProgress: (event) => {
        if (event.type === 'log' && String(Buffer.from(event.data)).includes('ready')) process.stdout.write('"ready"\n')
      },
    })
    .then(
      ({ digest }): Outcome => ({ digest }),
      (error): Outcome => ({
        code: error.code,
        message: error.message,
        log: String(error.details?.log ?? ''),
        step: error.details?.step,
        state: error.state ? error.state.digest : inspect(error),
      }),
    )
  process.stdout.write(`${JSON.stringify(outcome)}\n`)
}
