// test: timeout 180
// Where an image comes from and what is said about it, as a user of the library says it.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type BuildEvent, type ImageBuilder, image, images, store } from '../../lib/index.ts'
import { has } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

const directory = temporaryDirectory('sources')
const place = directory.path
process.env.STRAKE_ROOT = join(place, 'store')

const test = suite('sources')
const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe', cwd: place })

/** A static program of one function: says its arguments, its ids and its variable A. */
const program = `#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) printf("%s ", argv[i]);
  char cwd[4096];
  printf("%d:%d %s %s\\n", getuid(), getgid(), getenv("A") ? getenv("A") : "-", getcwd(cwd, sizeof cwd));
}
`

test.before(() => {
  writeFileSync(join(place, 'say.c'), program)
  run('cc', '-static', '-Os', '-o', 'say', 'say.c')
  mkdirSync(join(place, 'root', 'bin'), { recursive: true })
  mkdirSync(join(place, 'root', 'etc'))
  copyFileSync(join(place, 'say'), join(place, 'root', 'bin', 'say'))
  writeFileSync(join(place, 'root', 'etc', 'passwd'), 'svc:x:55:66::/:/bin/say\n')
  writeFileSync(join(place, 'root', 'etc', 'group'), 'svc:x:66:\nother:x:77:\n')
  run('tar', '-C', 'root', '-cf', 'root.tar', '.')
  run('tar', '-C', 'root', '-czf', 'root.tar.gz', '.')
})

test.after(async () => {
  await store.remove()
  directory[Symbol.dispose]()
})

const says = async (built: ImageBuilder, ...argv: string[]): Promise<string> =>
  (await built.exec(['/bin/say', ...argv], { check: true })).stdout

test('scratch: an image of one static program', async () => {
  const built = await image('scratch').copy('say', '/bin/').entrypoint(['/bin/say']).cmd(['hello']).build({ context: place })
  assert.is(built.layers.length, 1)
  await using container = await built.start()
  assert.is((await container.wait()).exitCode, 0)
  const lines = []
  for await (const { text } of container.logs()) lines.push(text)
  assert.equal(lines, ['hello 0:0 - /'])
})

test('a root directory, and its tar, plain, gzip and zstd', async () => {
  if (!has('zstd')) return skip('zstd is not installed')
  run('zstd', '-q', 'root.tar', '-o', 'root.tar.zst')
  for (const name of ['root/', 'root.tar', 'root.tar.gz', 'root.tar.zst'])
    assert.is(await says(image(join(place, name)), name), `${name} 0:0 - /\n`)
})

test('layouts and archives that skopeo wrote, one of several by its name', async () => {
  if (!has('skopeo')) return skip('skopeo is not installed')
  await image(`${place}/root/`).env({ A: 'one' }).build({ tag: 'app:1' })
  await image(`${place}/root/`).env({ A: 'two' }).build({ tag: 'app:2' })
  for (const tag of ['1', '2']) run('skopeo', 'copy', '-q', `oci:${store.root}/content:app:${tag}`, `oci:${place}/layout:v${tag}`)
  run('skopeo', 'copy', '-q', `oci:${store.root}/content:app:2`, `oci-archive:${place}/oci.tar:v2`)
  run('skopeo', 'copy', '-q', `oci:${store.root}/content:app:2`, `docker-archive:${place}/docker.tar:app:2`)
  assert.is(await says(image(`oci:${place}/layout:v1`)), '0:0 one /\n')
  for (const from of [`oci:${place}/layout:v2`, `oci-archive:${place}/oci.tar`, `oci-archive:${place}/oci.tar:v2`])
    assert.is(await says(image(from)), '0:0 two /\n')
  for (const from of [`docker-archive:${place}/docker.tar`, `docker-archive:${place}/docker.tar:app:2`])
    assert.is(await says(image(from)), '0:0 two /\n')
  await image(`oci:${place}/layout`)
    .build()
    .then(
      () => assert.unreachable('there are two'),
      (error: { code: string; hint?: string }) => assert.equal([error.code, /v1.*v2/.test(error.hint ?? '')], ['image_not_found', true]),
    )
})

const described = (): ImageBuilder =>
  image(`${place}/root.tar`)
    .env({ A: '1' })
    .workdir('/srv')
    .workdir('app')
    .user('svc:other')
    .expose(80, '53/udp')
    .label({ 'org.example': 'v' })
    .volume('/data')
    .entrypoint(['/bin/say', 'entry'])
    .cmd(['default'])
    .stopSignal('SIGINT')
    .with((before) => before.env({ B: '2' }))

test('what is said about an image is what skopeo reads from the store, and what containers get', async () => {
  const built = await described().build({ tag: 'described:1' })
  const expected = {
    User: 'svc:other',
    ExposedPorts: { '80/tcp': {}, '53/udp': {} },
    Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'A=1', 'B=2'],
    Entrypoint: ['/bin/say', 'entry'],
    Cmd: ['default'],
    Volumes: { '/data': {} },
    WorkingDir: '/srv/app',
    Labels: { 'org.example': 'v' },
    StopSignal: 'SIGINT',
  }
  assert.equal(built.config, expected)
  await using container = await built.start()
  await container.wait()
  const lines = []
  for await (const { text } of container.logs()) lines.push(text)
  // Where one id is mapped, every user is that one outside; inside it reads as root.
  const ids = process.getuid?.() === 0 ? '55:77' : /.*/
  assert.match(lines.join(), new RegExp(`^entry default ${typeof ids === 'string' ? ids : '(55:77|0:0)'} 1 /srv/app$`))
  assert.is((await built.exec(['/bin/say'], { user: '0', cwd: '/bin', env: { A: 'other' } })).stdout, '0:0 other /bin\n')
  if (!has('skopeo')) return skip('skopeo is not installed')
  const read = JSON.parse(run('skopeo', 'inspect', '--config', `oci:${store.root}/content:described:1`))
  assert.equal(read.config, expected)
  assert.is(JSON.parse(run('skopeo', 'inspect', `oci:${store.root}/content:described:1`)).Digest, built.digest)
})

/** Builds in a process of its own; how many steps came from the cache, and the digest. */
function buildElsewhere(source: string): { cached: number; digest: string } {
  const code = `
    import { image } from ${JSON.stringify(new URL('../../lib/index.ts', import.meta.url).href)}
    let cached = 0
    const built = await (${source}).build({ onProgress: (event) => { if (event.type === 'step' && event.cached) cached += 1 } })
    console.log(JSON.stringify({ cached, digest: built.digest }))
  `
  const args = ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', code]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', env: process.env }))
}

test('unchanged steps come from the cache, in another process too; noCache makes them again', async () => {
  const text = `image('host').run('date +%N > /a').workdir('/w').run('cat /a > b')`
  const builder = image('host').run('date +%N > /a').workdir('/w').run('cat /a > b')
  const events: BuildEvent[] = []
  const first = await builder.build({ onProgress: (event) => events.push(event) })
  assert.is(events.filter((event) => event.type === 'step' && event.index > 1 && event.cached).length, 0)
  assert.equal(buildElsewhere(text), { cached: 4, digest: first.digest })
  assert.is((await builder.build()).digest, first.digest)
  const changed = buildElsewhere(text.replace('/a > b', '/a > c'))
  assert.is(changed.cached, 3)
  const anew = await builder.build({ noCache: true })
  assert.is.not(anew.digest, first.digest)
  assert.is((await images.get(first.digest)).digest, first.digest)
})

test('what is copied from an image is what is in it, and no mount point of ours', async () => {
  const from = image().from('scratch').copy({ 'x/f': 'hi' }, '/')
  const copied = await image().from('host').copy('/', '/in', { from }).build()
  assert.is((await copied.exec('cd /in && find . | sort')).stdout, '.\n./x\n./x/f\n')
  const error = await image()
    .from('host')
    .copy('/etc/hosts', '/got', { from })
    .build()
    .catch((reason: unknown) => reason)
  assert.is((error as { code?: string }).code, 'context_invalid')
})

test.run()
