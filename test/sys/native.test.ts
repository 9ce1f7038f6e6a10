import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { buildCommand, checkNative, initPath, isProgram } from '../../native/binding.ts'
import { isLinux } from '../support/machine.ts'
import { test } from '../support/uvu.ts'

test('the native part of this package loads, and its helper is a whole program for this processor', () => {
  if (!isLinux) return
  checkNative()
  const bytes = readFileSync(initPath())
  assert.is(isProgram(bytes, process.arch), true)
  assert.is(isProgram(bytes, process.arch === 'x64' ? 'arm64' : 'x64'), false)
})

test('a helper that is cut short, empty or something else is no program', () => {
  if (!isLinux) return
  const bytes = readFileSync(initPath())
  for (const damaged of [bytes.subarray(0, -1), bytes.subarray(0, 100), Buffer.alloc(0), Buffer.from('#!/bin/sh\n'.repeat(50))]) {
    assert.is(isProgram(damaged, process.arch), false, `${damaged.length} bytes`)
  }
})

test('the command that builds it is for the directory of the package, wherever one is', () => {
  const [, directory = ''] = /^cd '(.+)' && npx -y node-gyp rebuild$/.exec(buildCommand()) ?? []
  assert.ok(existsSync(join(directory, 'binding.gyp')), directory)
})

test('a Node that may load no addon is told so, and not that the addon is missing', () => {
  if (!isLinux) return
  const module = new URL('../../native/binding.ts', import.meta.url).href
  const script = `import(${JSON.stringify(module)}).then((m) => m.binding()).catch((e) => console.log(e.code, e.message, e.hint))`
  const words = execFileSync(process.execPath, ['--no-addons', '--import', 'tsx', '--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  assert.match(words, /^unsupported_platform .*may load no addon.*--no-addons/)
})

test.run()
