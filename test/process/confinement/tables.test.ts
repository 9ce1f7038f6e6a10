import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { callTables } from '../../../lib/process/confinement/seccomp/architectures.ts'
import { test } from '../../support/uvu.ts'

/** The __NR_* of this machine's own header, by the compiler that builds the native part. */
function headerNumbers(header: string, define: readonly string[] = []): Map<string, number> {
  const source = `${define.map((name) => `#define ${name}\n`).join('')}#include <${header}>\n`
  const macros = execFileSync('gcc', ['-E', '-dM', '-'], { input: source, encoding: 'utf8' })
  const values = new Map([...macros.matchAll(/^#define (__NR\w+) (\S+)$/gm)].map((match) => [match[1]!, match[2]!]))
  const resolve = (value: string): number => {
    const other = values.get(value)
    return other === undefined ? Number(value) : resolve(other)
  }
  const numbers = new Map<string, number>()
  for (const [macro, value] of values) if (macro.startsWith('__NR_')) numbers.set(macro.slice('__NR_'.length), resolve(value))
  return numbers
}

// Macros of the generic header that are no calls.
const noCalls = new Set(['syscalls', 'arch_specific_syscall'])

function compare(table: keyof typeof callTables, header: string, define?: readonly string[]): void {
  let compared = 0
  for (const [name, number] of headerNumbers(header, define)) {
    if (noCalls.has(name) || Number.isNaN(number)) continue
    assert.equal(callTables[table].numbers.get(name), number, `${name} of ${table}`)
    compared += 1
  }
  assert.ok(compared > 290, `only ${compared} calls were compared`)
}

test('the arm64 table agrees with asm-generic/unistd.h', () => {
  compare('arm64', 'asm-generic/unistd.h', [
    '__BITS_PER_LONG 64',
    '__ARCH_WANT_RENAMEAT',
    '__ARCH_WANT_NEW_STAT',
    '__ARCH_WANT_SET_GET_RLIMIT',
    '__ARCH_WANT_TIME32_SYSCALLS',
    '__ARCH_WANT_SYS_CLONE3',
    '__ARCH_WANT_MEMFD_SECRET',
  ])
})

if (process.arch === 'x64') {
  test('the x64 table agrees with asm/unistd_64.h', () => compare('x64', 'asm/unistd_64.h'))
  test('the i386 table agrees with asm/unistd_32.h', () => compare('i386', 'asm/unistd_32.h'))
} else {
  console.log('not tried here: the x64 and i386 tables against the headers of an x64 machine')
}

test('no two names of a table have one number, but for aliases that the kernel has too', () => {
  for (const [table, { numbers }] of Object.entries(callTables)) {
    const seen = new Map<number, string>()
    for (const [name, number] of numbers) {
      assert.ok(!seen.has(number), `${table}: ${name} and ${seen.get(number)} are both ${number}`)
      seen.set(number, name)
    }
  }
})

test.run()
