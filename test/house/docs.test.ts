// test: timeout 400
// The TypeScript in docs/: each block type-checks, and runs; what it says it prints, it prints. README's blocks are run by readme.test.ts.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as assert from 'uvu/assert'
import { temporaryDirectory } from '../support/temporary.ts'
import { test } from '../support/uvu.ts'

interface Block {
  readonly page: string
  readonly line: number
  readonly text: string
  /** ```` ```ts no-run ````: what needs another machine, or what the page says is to be there. */
  readonly isRun: boolean
}

function blocksOf(page: string): Block[] {
  const text = readFileSync(page, 'utf8')
  return [...text.matchAll(/^```(?:ts|typescript)( no-run)?\n([\s\S]*?)^```$/gm)].map((match) => ({
    page,
    line: text.slice(0, match.index).split('\n').length,
    text: match[2] ?? '',
    isRun: match[1] === undefined,
  }))
}

const pages = [
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => `docs/${path}`)
    .sort(),
  'README.md',
  'CONTRIBUTING.md',
  'ARCHITECTURE.md',
]
const blocks = pages.flatMap(blocksOf)

function fileOf(block: Block): string {
  return `${block.page.replaceAll(/\W/g, '-')}-${block.line}.mts`
}

test('the pages have TypeScript in them, and no block is of a kind that nobody looks at', () => {
  assert.ok(blocks.length >= 7, `${blocks.length} blocks`)
  const odd = pages.flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/^```(\S.*)$/gm)].flatMap(([, kind = '']) =>
      /^(ts( no-run)?|typescript( no-run)?|sh|json|text|console|c)$/.test(kind) ? [] : [`${page}: ${kind}`],
    ),
  )
  assert.equal(odd, [])
})

test('every block of TypeScript type-checks as it is', () => {
  using directory = temporaryDirectory('docs')
  for (const block of blocks) writeFileSync(join(directory.path, fileOf(block)), block.text)
  const configuration = {
    extends: resolve('tsconfig.json'),
    compilerOptions: { typeRoots: [resolve('node_modules/@types')] },
    include: ['*.mts'],
  }
  writeFileSync(join(directory.path, 'tsconfig.json'), JSON.stringify(configuration))
  const { stdout } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', directory.path, '--listFiles'], {
    encoding: 'utf8',
  })
  const lines = stdout.split('\n')
  for (const block of blocks)
    assert.ok(
      lines.some((line) => line.endsWith(`/${fileOf(block)}`)),
      `${fileOf(block)} was not looked at`,
    )
  // What is wrong in the library itself is told by `npm run types`.
  const wrong = lines.filter((line) => /^[^ (]*\.mts\(\d+,\d+\): error/.test(line))
  assert.equal(wrong, [])
})

for (const block of blocks.filter(({ isRun, page }) => isRun && page !== 'README.md')) {
  test(`${block.page}:${block.line} runs, and prints what it says`, () => {
    using directory = temporaryDirectory('docs')
    const file = join(directory.path, fileOf(block))
    writeFileSync(file, block.text)
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--import', 'tsx', file], { encoding: 'utf8', timeout: 120_000 })
    assert.is(status, 0, stdout + stderr)
    const promised = [...block.text.matchAll(/\/\/ → (.*)$/gm)].map((match) => match[1])
    if (promised.length > 0) assert.equal(stdout.trim().split('\n'), promised, stdout + stderr)
  })
}

test.run()
