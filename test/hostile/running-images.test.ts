// HOSTILE.md, "Running containers": what an image puts in the engine's way. R03, R12.
import assert from 'node:assert/strict'
import { lstatSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Image, image } from '../../lib/index.ts'
import { removeTree } from '../../scripts/remove-tree.mjs'
import { test } from '../support/uvu.ts'
import { arena, outcomes } from './arena.ts'

/** What a name of the image stands for, made in a build step or by a container; `refused`: no container starts. */
interface Trap {
  readonly id: string
  readonly what: string
  /** Run where /proc and its like are directories of the image, covered by nothing: by a step that writes beside them. */
  readonly make: string
  readonly outcome: 'refused' | 'confined'
}

/** The image's own /proc, /sys and /dev are under the engine's mounts: an image that has others there comes from a tar. */
const traps: readonly Trap[] = [
  { id: 'R03', what: '/proc is a link to a directory of the image', make: 'ln -s /etc proc', outcome: 'refused' },
  { id: 'R03', what: '/proc is a link up and out', make: 'ln -s ../../../../../../proc proc', outcome: 'refused' },
  { id: 'R03', what: '/proc is a link to itself', make: 'ln -s proc proc', outcome: 'refused' },
  { id: 'R03', what: '/proc is a file', make: 'echo x > proc', outcome: 'refused' },
  { id: 'R03', what: '/proc is a fifo', make: 'mkfifo proc', outcome: 'refused' },
  { id: 'R03', what: '/sys is a link', make: 'ln -s /proc sys', outcome: 'refused' },
  { id: 'R03', what: '/sys is a file', make: 'echo x > sys', outcome: 'refused' },
  { id: 'R03', what: '/dev is a link', make: 'ln -s /tmp dev', outcome: 'refused' },
  { id: 'R03', what: '/dev is a file', make: 'echo x > dev', outcome: 'refused' },
  { id: 'R03', what: '/proc and /sys are swapped', make: 'ln -s sys proc; ln -s proc sys', outcome: 'refused' },
  {
    id: 'R03',
    what: '/dev holds a console that is a link',
    make: 'mkdir dev; ln -s /etc/passwd dev/console; ln -s /etc/passwd dev/null; ln -s /etc dev/pts',
    outcome: 'confined',
  },
  {
    id: 'R03',
    what: '/proc is a directory full of links',
    make: 'mkdir -p proc; ln -s /etc/passwd proc/sysrq-trigger; ln -s /etc proc/sys; ln -s /etc/passwd proc/kcore',
    outcome: 'confined',
  },
  {
    id: 'R03',
    what: '/etc/hosts is a link out of the image',
    make: 'mkdir etc; ln -s ../../../../../../../etc/hosts etc/hosts',
    outcome: 'refused',
  },
  { id: 'R03', what: '/etc/hosts is a link into /proc', make: 'mkdir etc; ln -s /proc/self/environ etc/hosts', outcome: 'confined' },
  { id: 'R03', what: '/etc/hosts is a directory', make: 'mkdir -p etc/hosts', outcome: 'refused' },
  {
    id: 'R03',
    what: '/etc/resolv.conf is a dangling link',
    make: 'mkdir etc; ln -s /run/nowhere/resolv.conf etc/resolv.conf',
    outcome: 'confined',
  },
  { id: 'R03', what: '/etc/resolv.conf is a fifo', make: 'mkdir etc; mkfifo etc/resolv.conf', outcome: 'confined' },
  { id: 'R03', what: '/etc is a link out of the image', make: 'ln -s ../../../../etc etc', outcome: 'refused' },
  { id: 'R03', what: '/etc is a file', make: 'echo x > etc', outcome: 'confined' },
]

const built = new Map<string, Promise<Image>>()

/** An image whose only content is what `make` leaves, and the probe. */
async function trapped(make: string): Promise<Image> {
  const known = built.get(make)
  if (known) return known
  const made = (async () => {
    const base = await arena()
    const { stdout } = await base.exec(`mkdir /work; cd /work; ${make}; cp /probe . ; tar -cf - .`, { encoding: 'buffer', check: true })
    const directory = mkdtempSync(join(tmpdir(), 'strake-trap-'))
    try {
      writeFileSync(join(directory, 'rootfs.tar'), stdout)
      return await image(join(directory, 'rootfs.tar')).build()
    } finally {
      removeTree(directory)
    }
  })()
  built.set(make, made)
  return made
}

const watched = ['/etc/passwd', '/etc/hosts', '/etc/resolv.conf', '/etc/hostname']
const fingerprint = (): string =>
  watched
    .map((path) => {
      try {
        return `${readFileSync(path, 'latin1')}${lstatSync(path).mtimeMs}`
      } catch {
        return 'none'
      }
    })
    .join('\n')

for (const { id, what, make, outcome } of traps) {
  test(`${id}: ${what}: ${outcome}`, async () => {
    const before = fingerprint()
    const base = await trapped(make)
    const started = base.exec(['/probe', 'writes', '/proc/sysrq-trigger', '/proc/sys/kernel/core_pattern'], { timeout: 10_000 })
    if (outcome === 'refused') {
      await assert.rejects(
        async () => await started,
        (error: Error & { code?: string; hint?: string }) => error.code === 'kernel_refused' || error.code === 'image_invalid',
      )
    } else {
      const { stdout } = await started
      for (const [path, end] of outcomes(stdout)) assert.match(end, /^(EROFS|EACCES|ENOENT)$/, path)
      assert.equal(outcomes(stdout).size, 2)
    }
    assert.equal(fingerprint(), before, "the host's own files are as they were")
  })
}

test('R12: passwd in every disguise gives an answer or an error, soon', async () => {
  const base = await arena()
  const disguises: readonly (readonly [string, string])[] = [
    ['a fifo', 'mkfifo /etc/passwd'],
    ['a directory', 'mkdir /etc/passwd'],
    ['a sparse file of 32 MB', 'truncate -s 32M /etc/passwd'],
    ['a link to /proc/self/environ', 'ln -s /proc/self/environ /etc/passwd'],
    ['a link to /proc/1/root/etc/shadow', 'ln -s /proc/1/root/etc/shadow /etc/passwd'],
    ['a link to /proc/kmsg', 'ln -s /proc/kmsg /etc/passwd'],
    ['a link to /dev/zero', 'ln -s /dev/zero /etc/passwd'],
    ['a link to /dev/tty', 'ln -s /dev/tty /etc/passwd'],
    ['a link up and out', 'ln -s ../../../../../../etc/passwd.host /etc/passwd'],
    ['a link to itself', 'ln -s passwd /etc/passwd'],
    ['a line of 1 MB', 'yes | tr -d "\\n" | head -c 1000000 > /etc/passwd'],
    ['NULs and control characters', 'printf "ann\\000:x:1:1\\nann\\033:x:2:2:::\\n" > /etc/passwd'],
    ['not to be read', 'echo "ann:x:1:1::/:" > /etc/passwd; chmod 000 /etc/passwd'],
    ['ids that are none', 'printf "ann:x:-1:4294967295::/:\\nann:x:99999999999:0::/:\\nann:x:0x10:1::/:\\n" > /etc/passwd'],
  ]
  for (const [what, make] of disguises) {
    const since = Date.now()
    const disguised = await base.start({ cmd: ['/bin/sh', '-c', `rm -rf /etc/passwd; ${make}; exec sleep infinity`] })
    try {
      for (let tries = 0; tries < 100; tries += 1) {
        if ((await disguised.exec(['/bin/sh', '-c', 'ps -o comm= -p 2 | grep -q sleep']).then(({ exitCode }) => exitCode)) === 0) break
      }
      const runs = async (): Promise<string> => (await disguised.exec(['id', '-u'], { user: 'ann', timeout: 5000 })).stdout.trim()
      const fresh = await disguised.snapshot()
      const starts = async (): Promise<string> => (await fresh.exec(['id', '-u'], { user: 'ann', timeout: 5000 })).stdout.trim()
      for (const ask of [runs, starts]) {
        const answer = await ask().catch((error: { code?: string; message: string }) => error.code ?? error.message)
        if (what === 'not to be read') assert.match(answer, /^(1|user_not_found)$/, what)
        else assert.match(answer, /^(user_not_found|limit_exceeded|invalid_argument|image_invalid|kernel_refused)$/, `${what}: ${answer}`)
      }
    } finally {
      await disguised.remove()
    }
    assert.ok(Date.now() - since < 15_000, `${what} took ${Date.now() - since} ms`)
  }
})

test('R12: nothing of the image is run or loaded by the engine: an image without a program looks up users and copies files', async () => {
  const bare = await trapped(
    'mkdir -p etc lib usr/bin; echo "ann:x:77:78::/:" > etc/passwd; echo "/evil.so" > etc/ld.so.preload; ln -s /probe usr/bin/tar; ln -s /probe usr/bin/id; ln -s /probe usr/bin/getent',
  )
  await using container = await bare.start({ cmd: ['/probe', 'deaf'], env: { LD_PRELOAD: '/evil.so', PATH: '/nowhere' } })
  assert.equal((await container.fs.readFile('/etc/passwd')).toString(), 'ann:x:77:78::/:\n')
  await container.fs.writeFile('/made', 'x')
  assert.equal((await container.fs.readFile('/made')).toString(), 'x')
  // A program of the image would have been a process in there.
  assert.equal((await container.exec(['/probe', 'process', '4'])).stdout.includes('done'), false)
})

test('R12: files of a container are reached through its root only, whatever links it has', async () => {
  await using container = await (await arena()).start({ cmd: ['sleep', 'infinity'] })
  await container.exec(
    'ln -s /etc /here; ln -s ../../../../../../../../etc /up; ln -s /proc/1/root/etc /magic; ln -s /proc/self/root /own',
    { check: true },
  )
  await container.fs.writeFile('/here/of-the-container', 'x')
  await container.fs.writeFile('/up/of-the-container-too', 'x')
  for (const path of ['/magic/hosts', '/own/etc/hosts', '/up/hosts', '/here/hosts']) {
    const text = await container.fs.readFile(path).then(
      (bytes) => bytes.toString(),
      (error: { code?: string }) => error.code ?? '',
    )
    assert.ok(!text.includes(readFileSync('/etc/hosts', 'utf8')) || text.length < 3, path)
  }
  for (const path of ['/etc/of-the-container', '/etc/of-the-container-too']) {
    assert.throws(() => lstatSync(path))
    assert.equal((await container.fs.readFile(path)).toString(), 'x')
  }
})

test.run()
