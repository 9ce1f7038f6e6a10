import { existsSync, readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { parseElf } from '../../../lib/build/host/elf.ts'
import { test } from '../../support/uvu.ts'
import { makeElf } from './make-elf.ts'

test('an ELF file tells its linker, its libraries and where to look for them', () => {
  const bytes = makeElf({
    interpreter: '/lib/ld-musl-x86_64.so.1',
    needed: ['libc.so', 'libz.so.1'],
    rpath: '/a:/b',
    runpath: '$ORIGIN/../lib',
  })
  assert.equal(parseElf(bytes), {
    bits: 64,
    machine: 62,
    interpreter: '/lib/ld-musl-x86_64.so.1',
    needed: ['libc.so', 'libz.so.1'],
    rpath: ['/a', '/b'],
    runpath: ['$ORIGIN/../lib'],
  })
})

test('Node itself is understood', () => {
  const elf = parseElf(readFileSync(process.execPath))
  assert.is(elf?.bits, 64)
  assert.ok(elf?.interpreter && existsSync(elf.interpreter))
  assert.ok(elf?.needed.some((name) => name.startsWith('libc.')))
})

test('what is no ELF file, or a damaged one, is nothing', () => {
  const whole = makeElf({ needed: ['libc.so.6'] })
  assert.is(parseElf(Buffer.from('#!/bin/sh\n')), undefined)
  assert.is(parseElf(Buffer.alloc(0)), undefined)
  assert.is(parseElf(whole.subarray(0, 100)), undefined)
  for (let at = 16; at < 64; at += 1) {
    const damaged = Buffer.from(whole)
    damaged.fill(0xff, at, at + 8)
    const elf = parseElf(damaged)
    assert.ok(elf === undefined || Array.isArray(elf.needed), `bytes ${at}–${at + 8} set to ones`)
  }
})

test.run()
