import type { RunMount } from '../../mount.ts'
import type { Base, RunStep } from '../../step.ts'
import type { Escape } from '../directives.ts'
import { flagText, wordText } from '../quoting.ts'
import { heredocBody, terminator } from './heredoc.ts'
import { commandText } from './settings.ts'

/** Names what a mount or a copy takes files from. */
export type NameOf = (base: Base) => string

function octal(mode: number, usual: number): string | undefined {
  return mode === usual ? undefined : mode.toString(8).padStart(4, '0')
}

/** A value, or true for a field that needs none. */
type Field = string | number | boolean | undefined

/** The fields of a mount, beside its type; undefined ones are as if they were not there. */
function fieldsOf(mount: RunMount, nameOf: NameOf): Record<string, Field> {
  const owner = 'uid' in mount ? { uid: mount.uid || undefined, gid: mount.gid || undefined } : {}
  switch (mount.kind) {
    case 'cache':
      return {
        id: mount.id === mount.target ? undefined : mount.id,
        sharing: mount.sharing === 'shared' ? undefined : mount.sharing,
        from: mount.from && nameOf(mount.from),
        source: mount.source === '.' ? undefined : mount.source,
        readonly: mount.readOnly || undefined,
        mode: octal(mount.mode, 0o755),
        ...owner,
      }
    case 'bind':
      return {
        from: mount.from && nameOf(mount.from),
        source: mount.source === '.' ? undefined : mount.source,
        readwrite: mount.readWrite || undefined,
      }
    case 'tmpfs':
      return { size: mount.size }
    case 'secret':
      return { id: mount.id, env: mount.env, required: mount.required || undefined, mode: octal(mount.mode, 0o400), ...owner }
    default:
      return {
        id: mount.id === 'default' ? undefined : mount.id,
        required: mount.required || undefined,
        mode: octal(mount.mode, 0o600),
        ...owner,
      }
  }
}

function mountFlag(mount: RunMount, nameOf: NameOf, escaper: Escape): string {
  const usual = mount.kind === 'secret' && mount.target === `/run/secrets/${mount.id}` && mount.env === undefined
  const target = usual ? undefined : mount.target
  const fields = Object.entries<Field>({ type: mount.kind, target, ...fieldsOf(mount, nameOf) }).flatMap(([name, value]) => {
    if (value === undefined) return []
    const field = value === true ? name : `${name}=${wordText(String(value), escaper)}`
    return [/[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field]
  })
  return ` --mount=${flagText(fields.join(','), escaper)}`
}

/** The ways to say a RUN, the plainest first; a reader tells which of them say it. */
export function runTexts(step: RunStep, nameOf: NameOf, escaper: Escape): string[] {
  const { command, network, mounts = [] } = step
  const head = (given: readonly RunMount[]): string =>
    `RUN${given.map((mount) => mountFlag(mount, nameOf, escaper)).join('')}${network === 'none' ? ' --network=none' : ''}`
  const plain = `${head(mounts)} ${commandText(command)}`
  if (typeof command !== 'string') return [plain]
  const name = terminator(command)
  return [...script(step, head), plain, `${head(mounts)} <<${name}${heredocBody(command, name)}`]
}

/** A heredoc that begins with `#!` is read as a file that is mounted. */
function script({ command, mounts = [] }: RunStep, head: (mounts: readonly RunMount[]) => string): string[] {
  const last = mounts.at(-1)
  if (last?.kind !== 'bind' || last.from?.kind !== 'steps') return []
  const step = last.from.steps[1]
  const file = step?.kind === 'copy' && step.source.kind === 'memory' ? step.source.files[0] : undefined
  if (!file || command !== `${last.target}/${file.path}`) return []
  return [`${head(mounts.slice(0, -1))} <<${file.path}${heredocBody(Buffer.from(file.content).toString(), file.path)}`]
}
