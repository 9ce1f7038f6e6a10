// Where podman keeps credentials if there is no XDG_RUNTIME_DIR, one of which is in a directory of everybody's.
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { credentialFiles, readCredentialFile } from '../../../lib/registry/client/credential-files.ts'
import { storedCredentials } from '../../../lib/registry/index.ts'
import { testAs } from '../../support/skip.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'

const uid = process.getuid?.() ?? 0
const found = { kind: 'basic', username: 'me', password: 'secret' }
const content = JSON.stringify({ auths: { 'reg.example': { auth: Buffer.from('me:secret').toString('base64') } } })

/** An environment whose temporary directory is everybody's, with podman's file in it. */
function place(): { env: NodeJS.ProcessEnv; temporary: string; directories: string[]; file: string } & Disposable {
  const directory = temporaryDirectory('credential-files')
  const temporary = join(directory.path, 'tmp')
  const file = join(temporary, `podman-run-${uid}`, 'containers', 'auth.json')
  mkdirSync(temporary)
  chmodSync(temporary, 0o1777)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(file, content, { mode: 0o600 })
  return {
    env: { HOME: directory.path, TMPDIR: temporary },
    temporary,
    directories: [dirname(dirname(file)), dirname(file)],
    file,
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  }
}

test('the files of podman without XDG_RUNTIME_DIR come after all others', () => {
  const env = { HOME: '/home/me', XDG_RUNTIME_DIR: '/run/here' }
  assert.equal(
    credentialFiles(env, 1234).map(({ path }) => path),
    [
      '/run/here/containers/auth.json',
      '/home/me/.config/containers/auth.json',
      '/home/me/.docker/config.json',
      '/run/containers/1234/auth.json',
      '/run/user/1234/containers/auth.json',
      '/tmp/podman-run-1234/containers/auth.json',
    ],
  )
  assert.equal(credentialFiles({ ...env, REGISTRY_AUTH_FILE: '/x' }, 1234), [{ path: '/x' }])
})

test('credentials below the temporary directory are found', async () => {
  using here = place()
  assert.equal((await storedCredentials('reg.example', 'app', { env: here.env })).credentials, found)
  const slashed = { ...here.env, TMPDIR: `${here.temporary}/` }
  assert.equal((await storedCredentials('reg.example', 'app', { env: slashed })).credentials, found)
})

async function isPassedOver(env: NodeJS.ProcessEnv): Promise<void> {
  assert.equal(await storedCredentials('reg.example', 'app', { env }), { credentials: undefined, problems: [] })
}

/** Puts a link in the place of what is there. */
function linked(path: string): void {
  renameSync(path, `${path}.real`)
  symlinkSync(`${path}.real`, path)
}

for (const [index, what] of ['its directory', 'the directory within'].entries()) {
  test(`they are passed over where ${what} is a link, or others may write to it`, async () => {
    using here = place()
    const directory = here.directories[index] as string
    chmodSync(directory, 0o777)
    await isPassedOver(here.env)
    chmodSync(directory, 0o700)
    linked(directory)
    await isPassedOver(here.env)
  })

  testAs(test, ['root'], `they are passed over where ${what} is another user's`, async () => {
    using here = place()
    chownSync(here.directories[index] as string, 12345, 12345)
    await isPassedOver(here.env)
  })
}

test('they are passed over where the file is a link, a fifo, a directory, or others may write to it', async () => {
  using here = place()
  chmodSync(here.file, 0o666)
  await isPassedOver(here.env)
  chmodSync(here.file, 0o600)
  linked(here.file)
  await isPassedOver(here.env)
  rmSync(here.file)
  execFileSync('mkfifo', [here.file])
  await isPassedOver(here.env)
  rmSync(here.file)
  mkdirSync(here.file)
  await isPassedOver(here.env)
})

testAs(test, ['subid', 'single'], 'a file of podman that this user may not read is no problem, one that was given is', async () => {
  using here = place()
  chmodSync(here.file, 0)
  const path = here.file
  assert.is(await readCredentialFile({ path, isForeignPassed: true }), undefined)
  assert.is((await readCredentialFile({ path }).catch((error: NodeJS.ErrnoException) => error.code)) ?? '', 'EACCES')
})

testAs(test, ['root'], "they are passed over where the file is another user's", async () => {
  using here = place()
  chownSync(here.file, 12345, 12345)
  await isPassedOver(here.env)
})

test.run()
