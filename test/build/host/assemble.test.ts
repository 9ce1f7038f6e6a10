import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { assembleHostBase, type BaseEntry } from '../../../lib/build/host/assemble.ts'
import { isRoot } from '../../support/machine.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { makeElf } from './make-elf.ts'

/** A made-up host: bytes are a program or library, a string starting with `->` is a link, other strings are scripts or texts. */
function layOut(root: string, files: Readonly<Record<string, string | Buffer>>): void {
  for (const [path, content] of Object.entries(files)) {
    const full = join(root, path)
    mkdirSync(dirname(full), { recursive: true })
    if (typeof content === 'string' && content.startsWith('->')) symlinkSync(content.slice(2), full)
    else {
      writeFileSync(full, content)
      chmodSync(full, 0o755)
      utimesSync(full, 1_000_000, 1_000_000)
    }
  }
}

const pathsOf = (entries: readonly BaseEntry[] | undefined) => (entries ?? []).map(({ path }) => path)
const find = (entries: readonly BaseEntry[] | undefined, path: string) => (entries ?? []).find((entry) => entry.path === path)
const linker = '/lib64/ld-linux-x86-64.so.2'

const debian = {
  bin: '->usr/bin',
  lib: '->usr/lib',
  lib64: '->usr/lib64',
  'usr/lib64/ld-linux-x86-64.so.2': '->/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
  'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2': makeElf({}),
  'usr/lib/x86_64-linux-gnu/libc.so.6': makeElf({}),
  'usr/lib/x86_64-linux-gnu/libtinfo.so.6': '->libtinfo.so.6.4',
  'usr/lib/x86_64-linux-gnu/libtinfo.so.6.4': makeElf({ needed: ['libc.so.6'] }),
  'usr/bin/dash': makeElf({ interpreter: linker, needed: ['libc.so.6'] }),
  'usr/bin/sh': '->dash',
  'usr/bin/bash': makeElf({ interpreter: linker, needed: ['libtinfo.so.6', 'libc.so.6'] }),
}

test('a merged /usr stays merged, and links on the way to a file are kept', async () => {
  using host = temporaryDirectory('host')
  layOut(host.path, {
    ...debian,
    'usr/bin/awk': '->/etc/alternatives/awk',
    'etc/alternatives/awk': '->/usr/bin/mawk',
    'usr/bin/mawk': debian['usr/bin/dash'],
  })
  const base = await assembleHostBase(host.path)
  assert.equal(find(base?.entries, 'bin'), { kind: 'link', path: 'bin', target: 'usr/bin', mtime: find(base?.entries, 'bin')?.mtime })
  for (const path of [
    'lib64',
    'usr/lib64/ld-linux-x86-64.so.2',
    'usr/bin/sh',
    'usr/bin/dash',
    'usr/lib/x86_64-linux-gnu/libtinfo.so.6.4',
    'etc/alternatives/awk',
    'usr/bin/mawk',
  ]) {
    assert.ok(find(base?.entries, path), path)
  }
})

test('musl with busybox: one program under many names', async () => {
  using host = temporaryDirectory('host')
  layOut(host.path, {
    'lib/ld-musl-x86_64.so.1': makeElf({}),
    'lib/libc.musl-x86_64.so.1': '->ld-musl-x86_64.so.1',
    'bin/busybox': makeElf({ interpreter: '/lib/ld-musl-x86_64.so.1', needed: ['libc.musl-x86_64.so.1'] }),
    'bin/sh': '->/bin/busybox',
    'bin/ls': '->/bin/busybox',
    'usr/bin/env': '->/bin/busybox',
  })
  const base = await assembleHostBase(host.path)
  for (const path of ['lib/libc.musl-x86_64.so.1', 'lib/ld-musl-x86_64.so.1', 'bin/busybox', 'bin/sh', 'bin/ls', 'usr/bin/env'])
    assert.ok(find(base?.entries, path), path)
})

test('64-bit libraries of Fedora, with 32-bit ones of the same name beside them', async () => {
  using host = temporaryDirectory('host')
  layOut(host.path, {
    'lib/libc.so.6': makeElf({ machine: 3 }),
    'lib64/libc.so.6': makeElf({}),
    'lib64/ld-linux-x86-64.so.2': makeElf({}),
    'usr/bin/sh': makeElf({ interpreter: linker, needed: ['libc.so.6'] }),
  })
  const base = await assembleHostBase(host.path)
  assert.ok(find(base?.entries, 'lib64/libc.so.6'))
  assert.not(find(base?.entries, 'lib/libc.so.6'))
})

test('libraries are found by RUNPATH with $ORIGIN, and through ld.so.conf with a link where the linker looks by itself', async () => {
  using host = temporaryDirectory('host')
  layOut(host.path, {
    ...debian,
    'usr/bin/grep': makeElf({ interpreter: linker, needed: ['libown.so'], runpath: '$ORIGIN/../lib/grep' }),
    'usr/lib/grep/libown.so': makeElf({}),
    'usr/bin/sed': makeElf({ interpreter: linker, needed: ['libfar.so.1'] }),
    'opt/far/libfar.so.1': makeElf({ needed: ['libc.so.6'] }),
    'etc/ld.so.conf': 'include /etc/ld.so.conf.d/*.conf\n',
    'etc/ld.so.conf.d/far.conf': '# far\n/opt/far\n',
  })
  const base = await assembleHostBase(host.path)
  assert.ok(find(base?.entries, 'usr/lib/grep/libown.so'))
  assert.ok(find(base?.entries, 'opt/far/libfar.so.1'))
  const link = find(base?.entries, 'lib/x86_64-linux-gnu/libfar.so.1') ?? find(base?.entries, 'usr/lib/x86_64-linux-gnu/libfar.so.1')
  assert.is(link?.kind === 'link' && link.target, '/opt/far/libfar.so.1')
})

test('a tool that could not run is left out whole', async () => {
  using host = temporaryDirectory('host')
  layOut(host.path, {
    ...debian,
    'usr/bin/grep': makeElf({ interpreter: linker, needed: ['libnowhere.so.9', 'libonly.so.1'] }),
    'usr/lib/x86_64-linux-gnu/libonly.so.1': makeElf({}),
    'usr/bin/which': '#!/usr/bin/perl\n',
    'usr/bin/ldd': '#!/bin/bash\n',
    'usr/bin/tac': '->tac',
  })
  const paths = pathsOf((await assembleHostBase(host.path))?.entries)
  for (const path of ['usr/bin/grep', 'usr/lib/x86_64-linux-gnu/libonly.so.1', 'usr/bin/which', 'usr/bin/tac'])
    assert.not(paths.includes(path), path)
  assert.ok(paths.includes('usr/bin/ldd'))
})

test('files of whoever and whatever mode belong to root and are readable by all; setuid is gone', async () => {
  using host = temporaryDirectory('host')
  layOut(host.path, { ...debian, 'etc/os-release': 'ID=made-up\n' })
  chmodSync(join(host.path, 'usr/bin/dash'), 0o4700)
  chmodSync(join(host.path, 'etc/os-release'), 0o640)
  if (isRoot) chownSync(join(host.path, 'usr/bin/dash'), 12, 34)
  const base = await assembleHostBase(host.path)
  const dash = find(base?.entries, 'usr/bin/dash')
  const release = find(base?.entries, 'etc/os-release')
  assert.is(dash?.kind === 'file' && dash.mode, 0o755)
  assert.is(release?.kind === 'file' && release.mode, 0o644)
})

test('the same files give the same base, and parents come before their children', async () => {
  using one = temporaryDirectory('host')
  using other = temporaryDirectory('host')
  layOut(one.path, debian)
  layOut(other.path, Object.fromEntries(Object.entries(debian).reverse()))
  const linkless = (entries: readonly BaseEntry[] | undefined) =>
    entries?.map((entry) => (entry.kind === 'link' ? { ...entry, mtime: 0 } : entry))
  const first = (await assembleHostBase(one.path))?.entries
  assert.equal(linkless(first), linkless((await assembleHostBase(other.path))?.entries))
  const seen = new Set(['.'])
  for (const { path } of first ?? []) {
    assert.ok(seen.has(dirname(path)), `${path} after its directory`)
    seen.add(path)
  }
})

test('a witness changes with each file, and with a tool that is added', async () => {
  using host = temporaryDirectory('host')
  layOut(host.path, debian)
  const before = JSON.stringify((await assembleHostBase(host.path))?.witnesses)
  assert.is(JSON.stringify((await assembleHostBase(host.path))?.witnesses), before)
  writeFileSync(join(host.path, 'usr/bin/cat'), debian['usr/bin/dash'])
  const added = JSON.stringify((await assembleHostBase(host.path))?.witnesses)
  assert.is.not(added, before)
  rmSync(join(host.path, 'usr/bin/dash'))
  layOut(host.path, { 'usr/bin/dash': Buffer.concat([debian['usr/bin/dash'], Buffer.alloc(1)]) })
  assert.is.not(JSON.stringify((await assembleHostBase(host.path))?.witnesses), added)
})

test('a host without a shell has no base', async () => {
  using host = temporaryDirectory('host')
  assert.is(await assembleHostBase(host.path), undefined)
})

test('this machine has a base: a shell, core tools, users, and less than 25 MB', async () => {
  const base = await assembleHostBase()
  const paths = new Set(pathsOf(base?.entries))
  for (const path of ['tmp', 'proc', 'etc/passwd', 'etc/os-release']) assert.ok(paths.has(path), path)
  for (const tool of ['sh', 'cat', 'ls', 'grep', 'tar']) assert.ok(paths.has(`usr/bin/${tool}`) || paths.has(`bin/${tool}`), tool)
  const bytes = (base?.entries ?? []).reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.content.length : 0), 0)
  assert.ok(bytes < 25e6, `${bytes} bytes`)
})

test.run()
