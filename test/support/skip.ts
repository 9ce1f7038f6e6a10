import { type IdKind, idKind, isCI } from './machine.ts'
import type { Test } from './uvu.ts'

/**
 * Says that the running test cannot be made on this machine, and why; the test returns after it. Printed and counted by `npm test`.
 * With CI=true it throws instead: the machines of CI have all that the tests need.
 *
 * @example
 * test('a built image is unpacked by umoci', async () => {
 *   if (!has('umoci')) return skip('umoci is not installed')
 *   …
 * })
 */
export function skip(reason: string): void {
  if (isCI) throw new Error(`skipped, which CI forbids: ${reason}`)
  process.stdout.write(`\n# skip: ${reason}\n`)
}

/**
 * A test that has a meaning for some kinds of user only, and is made when the suite runs as one of them. CI runs the suite as each
 * kind, so nothing is lost: it is counted as made elsewhere and not as skipped. An `idKind` that the tests cannot have is refused.
 *
 * @example
 * testAs(test, ['subid', 'single'], 'an ordinary user deletes what a container wrote', async () => { … })
 */
export function testAs(test: Test, kinds: readonly IdKind[], name: string, body: () => void | Promise<void>): void {
  if (kinds.length === 0) throw new Error(`"${name}" is never made: name a kind of user`)
  if (kinds.includes(idKind)) test(name, body)
  else process.stdout.write(`# elsewhere: ${name} (as ${kinds.join(', ')})\n`)
}
