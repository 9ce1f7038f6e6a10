// test: timeout 400
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

const text = readFileSync('README.md', 'utf8')

function blocks(language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map((match) => match[1] ?? '')
}

const commands = blocks('sh').flatMap((block) => block.trim().split('\n'))
const examples = blocks('ts')

function run(command: string, args: readonly string[]): { output: string; stdout: string; status: number | null } {
  const done = spawnSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 })
  return { output: `${done.stdout}${done.stderr}`, stdout: done.stdout, status: done.status }
}

test('README names the two commands', () => {
  assert.ok(commands.includes('npm start'))
  assert.ok(commands.includes('npm test'))
})

/** npx makes a package's own command executable in place: that is for whoever the clone belongs to. */
const isOwnClone = statSync('package.json').uid === process.getuid?.()

for (const command of commands) {
  if (command.startsWith('npx') && !isOwnClone) {
    process.stdout.write(`# elsewhere: README: ${command} (as the owner of the clone)\n`)
    continue
  }
  test(`README: ${command}`, () => {
    // The whole suite is what runs this test: a small part of it stands for the rest.
    const { output, status } = run('sh', ['-c', command === 'npm test' ? 'npm test -- test/house/errors' : command])
    assert.is(status, 0, output)
    if (command === 'npm test') assert.match(output, /^\d+ passed, 0 failed, 0 skipped$/m)
  })
}

for (const [index, example] of examples.entries()) {
  const title = [...text.slice(0, text.indexOf(example)).matchAll(/^## (.*)$/gm)].at(-1)?.[1] ?? `example ${index + 1}`
  test(`README, ${title}: prints what it says`, () => {
    using directory = temporaryDirectory('readme')
    const file = join(directory.path, 'example.mts')
    writeFileSync(file, example)
    const { output, stdout, status } = run(process.execPath, ['--import', 'tsx', file])
    assert.is(status, 0, output)
    const promised = [...example.matchAll(/\/\/ → (.*)$/gm)].map((match) => match[1])
    assert.ok(promised.length > 0, 'an example shows something')
    assert.equal(stdout.trim().split('\n'), promised, output)
  })
}

test('what README links to is there', () => {
  const links = [...text.matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1] ?? '')
  assert.ok(links.length > 0)
  for (const link of links) assert.ok(existsSync(link), link)
})

test.run()
