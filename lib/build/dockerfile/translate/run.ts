import type { RunMount } from '../../mount.ts'
import { copyStep } from '../../steps/copy.ts'
import { fromStep } from '../../steps/from.ts'
import { bind } from '../../steps/mounts.ts'
import { runStep } from '../../steps/run.ts'
import { Flags } from '../flags.ts'
import { heredocOf, withoutTabs } from '../heredoc.ts'
import { quoted } from '../position.ts'
import { failAt, type Statement } from '../statement.ts'
import type { Translate } from '../surroundings.ts'
import { mountsOf } from './mount.ts'
import { wordsInJson } from './settings.ts'

/** Where the script of a heredoc that begins with `#!` is mounted while it runs, as with BuildKit. */
const scripts = '/dev/pipes'

interface Command {
  readonly command: string | readonly string[]
  readonly mounts?: readonly RunMount[]
}

/**
 * A heredoc alone is what the shell runs, or, with `#!` before it, a program; any other is the shell's, which gets it behind the line.
 * The shell expands variables in either.
 */
function commandOf(statement: Statement): Command {
  const { rest, line } = statement
  const words = wordsInJson(statement)
  if (words) return { command: words }
  const [first] = line.heredocs
  if (!first) return { command: rest.text }
  if (!heredocOf(rest.text)) {
    const pieces = line.heredocs.map(({ content, name }) => `\n${content}${name}`)
    return { command: rest.text + pieces.join('') }
  }
  const script = first.stripsTabs ? withoutTabs(first.content) : first.content
  if (!script.startsWith('#!')) return { command: script }
  const steps = [fromStep('scratch'), copyStep({ [first.name]: { content: script, mode: 0o755 } }, '/')]
  return { command: `${scripts}/${first.name}`, mounts: [bind(scripts, { from: { steps } })] }
}

function networkOf(statement: Statement, flags: Flags<'mount' | 'network' | 'security'>): 'none' | 'host' | 'default' {
  const { text, offset } = flags.text('network') ?? { text: 'default', offset: 0 }
  if (text === 'none' || text === 'host' || text === 'default') return text
  throw failAt(statement, offset, `--network is default, none or host, not ${quoted(text)}`)
}

export const run: Translate = (statement, around) => {
  const flags = new Flags(statement, { mount: 'list', network: 'text', security: 'text' })
  const security = flags.text('security')
  if (security && security.text !== 'sandbox')
    throw failAt(statement, security.offset, `--security=${security.text} cannot be: every command is confined`)
  if (statement.rest.text === '') throw failAt(statement, 0, 'RUN needs a command')
  const network = networkOf(statement, flags)
  const { command, mounts = [] } = commandOf(statement)
  const all = [...mountsOf(statement, flags.list('mount'), around), ...mounts]
  return [runStep(command, { network, ...(all.length === 0 ? {} : { mounts: all }) })]
}
