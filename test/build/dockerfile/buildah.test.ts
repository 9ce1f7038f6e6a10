// test: timeout 400
import { existsSync, readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { buildahOn } from '../../support/buildah.ts'
import { has } from '../../support/machine.ts'
import { skip, testAs } from '../../support/skip.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { type Case, cases } from './cases.ts'
import { caseContext, saidOf } from './contexts.ts'

const configs: Readonly<Record<string, Readonly<Record<string, unknown>>>> = JSON.parse(
  readFileSync(new URL('configs.json', import.meta.url), 'utf8'),
)

const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Fields that buildah 1.28 has otherwise than docker and we: docs/dockerfile.md says why we have them so. */
const differing: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  escapes: { Env: [path, 'A=a', 'B=$A', 'C=$A', 'D=$A', 'E="q"', 'F=\\x', 'G=a\\nb', 'H=a"b', 'I=$a', 'J=a$'] },
  'a path is added to': { Env: ['HOME=/root', 'LANG=C.UTF-8', 'EMPTY=', `PATH=/app/bin:${path.slice(5)}:/last`] },
  'another shell': { Cmd: ['/bin/sh', '-c', 'a | b'], Entrypoint: ['/bin/sh', '-c', 'c'] },
  'ports, ranges of ports': {
    ExposedPorts: {
      '443/tcp': {},
      '53/udp': {},
      '80/TCP': {},
      '80/tcp': {},
      '8000-8003/tcp': {},
      '90/sctp': {},
      '9000-9001/udp': {},
    },
  },
  'an argument is there in stages on its own, and in no other': { Env: [path, 'B=1', 'C=none1'] },
}

/** What buildah does not build. */
const refused: Readonly<Record<string, RegExp>> = {
  'stages by their names, in any case': /short-name "next" did not resolve/,
  'another escape': /unexpected end of statement/,
}

testAs(test, ['root'], 'buildah has the same configs, but for what is known to differ', async () => {
  if (!has('buildah')) return skip('buildah is not installed')
  // In memory: buildah waits for the disk with each layer.
  using directory = temporaryDirectory('b', existsSync('/dev/shm') ? '/dev/shm' : '/tmp')
  const buildah = buildahOn(directory.path)
  let count = 0
  const contextOf = (text: string): string => {
    count += 1
    return caseContext(directory.path, String(count), text)
  }
  const check = async ([name, { text, base, args, target }]: [string, Case]): Promise<void> => {
    const number = String(count)
    if (base !== undefined) await buildah.build(contextOf(base), `localhost/base-${number}`)
    const context = contextOf(text.replaceAll('case-base', `localhost/base-${number}`))
    const building = buildah.build(context, `localhost/case-${number}`, { args, target })
    const why = refused[name]
    if (why) {
      const error = await building.then(
        () => undefined,
        (each: { stderr: string }) => each,
      )
      assert.match(error?.stderr ?? 'it was built', why)
      return
    }
    const { config, author } = await building
    // Where no instruction says it, buildah leaves it out.
    const said = { WorkingDir: '/', ...saidOf(config, author) }
    assert.equal(said, { ...configs[name], ...differing[name] }, name)
  }
  const left = Object.entries(cases)
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) await check(next)
  }
  await Promise.all(Array.from({ length: 3 }, work))
})

test.run()
