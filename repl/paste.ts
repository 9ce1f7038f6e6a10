import type { REPLServer } from 'node:repl'
import type { Writable } from 'node:stream'

/** xterm's control sequences: bracketed paste mode. */
const on = '\x1b[?2004h'
const off = '\x1b[?2004l'

interface Key {
  readonly name?: string
  readonly sequence?: string
}

type TtyWrite = (text: string | undefined, key: Key) => void

function isTtyWrite(value: unknown): value is TtyWrite {
  return typeof value === 'function'
}

/**
 * What is pasted is one input, however many lines it has: it is put into the line that is being typed, and carried out when the user says so.
 * Terminals that do not mark a paste send it as if it were typed.
 */
export function acceptPastes(server: REPLServer, output: Writable): void {
  const standard: unknown = Reflect.get(server, '_ttyWrite')
  if (!isTtyWrite(standard)) return
  let pasted: string | undefined
  const write: TtyWrite = (text, key) => {
    if (key.name === 'paste-start') {
      pasted = ''
    } else if (key.name === 'paste-end') {
      insert(server, pasted ?? '')
      pasted = undefined
    } else if (pasted !== undefined) {
      pasted += key.name === 'return' || key.name === 'enter' ? '\n' : (text ?? key.sequence ?? '')
    } else {
      Reflect.apply(standard, server, [text, key])
    }
  }
  Reflect.set(server, '_ttyWrite', write)
  output.write(on)
  server.once('close', () => output.write(off))
}

function insert(server: REPLServer, pasted: string): void {
  // The end of the last line is not yet the wish to carry it out.
  const text = pasted.replace(/\n+$/, '').replaceAll('\t', '  ')
  const { line, cursor } = server
  Reflect.set(server, 'line', line.slice(0, cursor) + text + line.slice(cursor))
  Reflect.set(server, 'cursor', cursor + text.length)
  const refresh: unknown = Reflect.get(server, '_refreshLine')
  if (typeof refresh === 'function') Reflect.apply(refresh, server, [])
}
