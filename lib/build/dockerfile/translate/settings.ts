import {
  cmdStep,
  entrypointStep,
  envStep,
  exposeStep,
  labelStep,
  maintainerStep,
  shellStep,
  stopSignalStep,
  userStep,
  volumeStep,
  workdirStep,
} from '../../steps/settings.ts'
import { noFlags } from '../flags.ts'
import { jsonWords } from '../json-form.ts'
import { expanded, expandedWords, failAt, plainWords, quotedWords, type Statement, type Word } from '../statement.ts'
import type { Translate } from '../surroundings.ts'
import { portsOf } from './ports.ts'

/** The one argument of an instruction, which goes to the end of the line. */
function argument(statement: Statement, what: string): Word {
  noFlags(statement)
  if (statement.rest.text === '') throw failAt(statement, 0, `${statement.keyword} needs ${what}`)
  return statement.rest
}

/** The words of an instruction's JSON form; undefined for the shell form. */
export function wordsInJson(statement: Statement, rest = statement.rest): readonly string[] | undefined {
  const words = jsonWords(rest.text)
  if (words === 'invalid') throw failAt(statement, rest.offset, `the array of ${statement.keyword} may hold nothing but strings`)
  return words
}

/** The words of an instruction that takes a list in either form. In JSON they all have the list's place. */
export function listOf(statement: Statement): Word[] {
  const { rest } = statement
  return wordsInJson(statement)?.map((text) => ({ text, offset: rest.offset })) ?? plainWords(rest)
}

/** `name=value …`, or the old form `name value`. */
function pairsOf(statement: Statement): { readonly name: Word; readonly value: Word }[] {
  const rest = argument(statement, 'name=value')
  const words = quotedWords(rest, statement.line.escaper)
  if (words[0] && !words[0].text.includes('=')) {
    const [, name = '', gap = '', value = ''] = /^([^\t\v\f\r ]+)([\t\v\f\r ]+)(.+)$/s.exec(rest.text) ?? []
    if (name === '') throw failAt(statement, rest.offset, `${statement.keyword} needs a name and a value`)
    return [{ name: { text: name, offset: rest.offset }, value: { text: value, offset: rest.offset + name.length + gap.length } }]
  }
  return words.map(({ text, offset }) => {
    const at = text.indexOf('=')
    if (at < 0) throw failAt(statement, offset, `${statement.keyword} needs name=value, but here is no "="`)
    if (at === 0) throw failAt(statement, offset, `${statement.keyword} has a value without a name`)
    return { name: { text: text.slice(0, at), offset }, value: { text: text.slice(at + 1), offset: offset + at + 1 } }
  })
}

/** All values see the environment before the instruction: `ENV a=1 b=$a` does not give b the 1. */
function record(statement: Statement, lookup: Parameters<Translate>[1]['lookup']): Record<string, string> {
  const pairs = pairsOf(statement).map(({ name, value }): [string, string] => [
    expanded(statement, name, lookup),
    expanded(statement, value, lookup),
  ])
  return Object.fromEntries(pairs)
}

export const env: Translate = (statement, { lookup }) => [envStep(record(statement, lookup))]

export const label: Translate = (statement, { lookup }) => [labelStep(record(statement, lookup))]

export const maintainer: Translate = (statement) => [maintainerStep(argument(statement, 'a name').text)]

export const user: Translate = (statement, { lookup }) => [userStep(expanded(statement, argument(statement, 'a user'), lookup))]

export const workdir: Translate = (statement, { lookup }) => [workdirStep(expanded(statement, argument(statement, 'a path'), lookup))]

export const stopSignal: Translate = (statement, { lookup }) => [
  stopSignalStep(expanded(statement, argument(statement, 'a signal'), lookup)),
]

export const expose: Translate = (statement, { lookup }) => {
  const words = plainWords(argument(statement, 'a port'))
  return [
    exposeStep(words.flatMap((word) => expandedWords(statement, word, lookup).flatMap((text) => portsOf(statement, { ...word, text })))),
  ]
}

export const volume: Translate = (statement, { lookup }) => {
  argument(statement, 'a path')
  const paths = listOf(statement).map((word) => expanded(statement, word, lookup).trim())
  if (paths.length === 0 || paths.includes('')) throw failAt(statement, statement.rest.offset, 'VOLUME needs a path, not an empty text')
  return [volumeStep(paths)]
}

export const shell: Translate = (statement) => {
  argument(statement, 'an array')
  const words = wordsInJson(statement)
  if (!words?.length) throw failAt(statement, statement.rest.offset, 'SHELL needs an array: SHELL ["/bin/bash", "-c"]')
  return [shellStep(words)]
}

/** CMD and ENTRYPOINT: the shell expands their variables, when the container runs. `[]` takes the base image's away. */
function command(statement: Statement): string | readonly string[] {
  const rest = argument(statement, 'a command')
  return wordsInJson(statement) ?? rest.text
}

export const cmd: Translate = (statement) => [cmdStep(command(statement))]

export const entrypoint: Translate = (statement) => [entrypointStep(command(statement))]
