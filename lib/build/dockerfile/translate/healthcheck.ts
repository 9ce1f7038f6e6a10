import { parseDuration } from '../../../process/index.ts'
import { healthcheckStep } from '../../steps/settings.ts'
import { Flags } from '../flags.ts'
import { quoted } from '../position.ts'
import { failAt, type Statement, type Word } from '../statement.ts'
import type { Translate } from '../surroundings.ts'
import { wordsInJson } from './settings.ts'

/** A duration in milliseconds; undefined for none and for 0, which both leave it to whoever runs the check. */
function duration(statement: Statement, word: Word | undefined): number | undefined {
  if (!word?.text) return undefined
  let milliseconds = Number.NaN
  try {
    milliseconds = parseDuration(word.text)
  } catch {
    throw failAt(statement, word.offset, `a duration is like 30s or 1m30s, not ${quoted(word.text)}`)
  }
  if (milliseconds === 0) return undefined
  if (milliseconds < 1) throw failAt(statement, word.offset, 'a duration is at least 1ms')
  return milliseconds
}

function retries(statement: Statement, word: Word | undefined): number | undefined {
  if (!word?.text) return undefined
  if (!/^\d{1,9}$/.test(word.text)) throw failAt(statement, word.offset, `--retries is a number, not ${quoted(word.text)}`)
  return Number(word.text) || undefined
}

/** HEALTHCHECK NONE, or HEALTHCHECK [flags] CMD command. */
export const healthcheck: Translate = (statement) => {
  const { rest } = statement
  const [, kind = '', gap = '', text = ''] = /^(\S+)(\s*)(.*)$/s.exec(rest.text) ?? []
  const command = { text, offset: rest.offset + kind.length + gap.length }
  const flags = new Flags(statement, {
    interval: 'text',
    timeout: 'text',
    'start-period': 'text',
    'start-interval': 'text',
    retries: 'text',
  })
  switch (kind.toUpperCase()) {
    case 'NONE':
      if (text !== '') throw failAt(statement, command.offset, 'HEALTHCHECK NONE takes nothing more')
      return [healthcheckStep({ test: 'none' })]
    case 'CMD': {
      const test = wordsInJson(statement, command) ?? text
      if (test.length === 0) throw failAt(statement, rest.offset, 'HEALTHCHECK CMD needs a command')
      const found = {
        interval: duration(statement, flags.text('interval')),
        timeout: duration(statement, flags.text('timeout')),
        startPeriod: duration(statement, flags.text('start-period')),
        startInterval: duration(statement, flags.text('start-interval')),
        retries: retries(statement, flags.text('retries')),
      }
      const given = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined))
      return [healthcheckStep({ test: typeof test === 'string' ? ['CMD-SHELL', test] : ['CMD', ...test], ...given })]
    }
    default:
      throw failAt(statement, rest.offset, 'HEALTHCHECK needs NONE or CMD and a command')
  }
}
