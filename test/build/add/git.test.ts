// test: timeout 300
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { image } from '../../../lib/fluent/index.ts'
import { has } from '../../support/machine.ts'
import { skip } from '../../support/skip.ts'
import { test } from '../../support/uvu.ts'
import { type Bench, failure, withBench } from '../bench.ts'
import { type GitServer, gitServer } from './git-server.ts'

const scratch = image('scratch')

interface Repositories extends Bench {
  readonly server: GitServer
  readonly work: string
  /** Commits all that is in the work tree of `app`, and pushes it. The commit. */
  commit(): string
}

/** `app` has a program, a link and a directory; its only commit is tagged `v1`. */
async function withRepository(look: (bench: Repositories) => Promise<void>): Promise<void> {
  if (!has('git')) return skip('git is not installed')
  await withBench(async (bench) => {
    const directory = join(bench.directory, 'git')
    await using server = await gitServer(directory)
    server.git('app', 'status')
    const work = join(directory, 'app.work')
    const commit = (): string => {
      server.git('app', 'add', '--all')
      server.git('app', 'commit', '--quiet', '--message', 'made')
      server.git('app', 'push', '--quiet', 'origin', 'HEAD:main')
      return server.git('app', 'rev-parse', 'HEAD')
    }
    mkdirSync(join(work, 'src'))
    writeFileSync(join(work, 'src', 'a'), 'one\n')
    writeFileSync(join(work, 'run'), '#!/bin/sh\n')
    chmodSync(join(work, 'run'), 0o755)
    symlinkSync('src/a', join(work, 'link'))
    commit()
    server.git('app', 'tag', '--annotate', '--message', 'first', 'v1')
    server.git('app', 'push', '--quiet', 'origin', 'v1')
    await look({ ...bench, server, work, commit })
  })
}

test('a repository: the files of a branch, a tag or a commit, or of a directory of it, without its .git unless told', () =>
  withRepository(async ({ build, paths, read, stat, server, work, commit }) => {
    const first = server.git('app', 'rev-parse', 'HEAD')
    writeFileSync(join(work, 'src', 'a'), 'two\n')
    commit()
    const all = await build(scratch.add(`${server.url}/app.git`, '/app'))
    assert.equal(await paths(all), ['app/', 'app/link', 'app/run', 'app/src/', 'app/src/a'])
    assert.is(await read(all, 'app/link'), 'two\n')
    assert.equal(
      [await stat(all, 'app/run'), await stat(all, 'app/src/a')],
      [
        [0o755, 0, 0],
        [0o644, 0, 0],
      ],
    )
    for (const ref of ['v1', 'refs/tags/v1', first]) {
      const old = await build(scratch.add(`${server.url}/app.git#${ref}`, '/app/'))
      assert.is(await read(old, 'app/src/a'), 'one\n', ref)
    }
    assert.equal(await paths(await build(scratch.add(`${server.url}/app.git#main:src`, '/'))), ['a'])
    const kept = await build(scratch.add(`${server.url}/app.git#main`, '/app/', { keepGitDir: true }))
    assert.is(await read(kept, 'app/.git/HEAD'), `${server.git('app', 'rev-parse', 'HEAD')}\n`)
  }))

test('the commit decides what is done again: a branch is asked for, a commit not at all', () =>
  withRepository(async ({ build, read, server, work, commit }) => {
    const adding = scratch.add(`${server.url}/app.git#main`, '/')
    const first = await build(adding)
    server.asked.length = 0
    assert.is((await build(adding)).digest, first.digest)
    assert.ok(server.asked.length > 0 && server.asked.length <= 2, `${server.asked}`)
    const exact = scratch.add(`${server.url}/app.git#${server.git('app', 'rev-parse', 'HEAD')}`, '/')
    server.asked.length = 0
    assert.equal((await build(exact)).layers, first.layers)
    assert.equal(server.asked, [])
    writeFileSync(join(work, 'src', 'a'), 'two\n')
    commit()
    assert.is(await read(await build(adding), 'src/a'), 'two\n')
    assert.is(await read(await build(exact), 'src/a'), 'one\n')
  }))

test('submodules come with it; one of another kind of place is refused', () =>
  withRepository(async ({ build, read, server, work, commit }) => {
    server.git('lib', 'status')
    writeFileSync(join(work, '..', 'lib.work', 'l'), 'of the library\n')
    server.git('lib', 'add', '--all')
    server.git('lib', 'commit', '--quiet', '--message', 'made')
    server.git('lib', 'push', '--quiet', 'origin', 'HEAD:main')
    server.git('app', 'submodule', '--quiet', 'add', '../lib.git', 'lib')
    commit()
    assert.is(await read(await build(scratch.add(`${server.url}/app.git`, '/app/')), 'app/lib/l'), 'of the library\n')
    server.git('app', 'config', '--file', '.gitmodules', 'submodule.lib.url', join(work, '..', 'lib.git'))
    commit()
    const error = await failure(build(scratch.add(`${server.url}/app.git`, '/app/')))
    assert.is(error.code, 'download_failed')
    assert.match(error.message, /transport 'file' not allowed/)
  }))

test('a server that gives no single commit gives all of them', () =>
  withRepository(async ({ build, read, server, work, commit }) => {
    const first = server.git('app', 'rev-parse', 'HEAD')
    writeFileSync(join(work, 'src', 'a'), 'two\n')
    commit()
    server.git('app', '--git-dir', '../app.git', 'update-server-info')
    server.isDumb = true
    assert.is(await read(await build(scratch.add(`${server.url}/app.git#${first}`, '/')), 'src/a'), 'one\n')
    assert.is(await read(await build(scratch.add(`${server.url}/app.git#main`, '/')), 'src/a'), 'two\n')
  }))

test('what cannot be had is told: no such branch, no server, a link that leads out, no git; an abort ends it', () =>
  withRepository(async ({ build, server, work, commit }) => {
    const add = (fragment: string, url = server.url) => build(scratch.add(`${url}/app.git${fragment}`, '/app/'))
    const branch = await failure(add('#nowhere'))
    assert.equal([branch.code, branch.details?.url], ['download_failed', `${server.url}/app.git#nowhere`])
    assert.match(branch.message, 'there is no branch and no tag nowhere')
    assert.is((await failure(add('#0123456789012345678901234567890123456789'))).code, 'download_failed')
    assert.is((await failure(add('', 'http://127.0.0.1:1'))).code, 'download_failed')
    assert.is((await failure(add('#main:missing'))).code, 'context_invalid')
    symlinkSync('/etc', join(work, 'out'))
    commit()
    assert.is((await failure(add('#main:out/passwd'))).code, 'path_escapes')
    const { PATH } = process.env
    try {
      process.env.PATH = '/nowhere'
      const missing = await failure(add('#v1'))
      assert.is(missing.code, 'download_failed')
      assert.match(missing.hint ?? '', 'apt-get install git')
    } finally {
      process.env.PATH = PATH
    }
    // As soon as it is asked something.
    const controller = new AbortController()
    server.asked.push = (...requests) => {
      controller.abort(new Error(`enough of ${requests}`))
      return 0
    }
    const error = await failure(build(scratch.add(`${server.url}/app.git#v1`, '/other/'), { signal: controller.signal }))
    assert.is(error.code, 'aborted')
  }))

test.run()
