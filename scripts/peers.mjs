// The programs beside Node that the tests and the benchmarks use. One list: `npm test` installs what root may install, and tells
// anyone else what is missing.
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { script } from './setup.mjs'

/** command: what must be on the PATH; pack: Debian's packages; group: which part of the work needs it. */
export const peers = [
  { group: 'test', command: 'skopeo', pack: 'skopeo', why: 'reads the store and saved images as another engine would' },
  { group: 'test', command: 'docker-registry', pack: 'docker-registry', why: 'the registry that images are pulled from and pushed to' },
  { group: 'test', command: 'htpasswd', pack: 'apache2-utils', why: 'makes the password file of that registry' },
  { group: 'test', command: 'openssl', pack: 'openssl', why: 'makes certificates' },
  { group: 'test', command: 'umoci', pack: 'umoci', why: 'unpacks built images; its result is compared with ours' },
  { group: 'test', command: 'newuidmap', pack: 'uidmap', why: 'maps the id range of an ordinary user' },
  { group: 'test', command: 'mmdebstrap', pack: 'mmdebstrap', why: 'makes the Debian file system that is built upon' },
  { group: 'test', command: 'zstd', pack: 'zstd', why: 'makes and checks compressed tar files' },
  { group: 'test', command: 'xz', pack: 'xz-utils', why: 'unpacks archives that add is given, and makes them' },
  { group: 'test', command: 'git', pack: 'git', why: 'fetches repositories that add is given, and serves them' },
  { group: 'test', command: 'bzip2', pack: 'bzip2', why: 'the same' },
  { group: 'test', command: 'tar', pack: 'tar', why: 'the other opinion on tar files' },
  { group: 'test', command: 'bsdtar', pack: 'libarchive-tools', why: 'a third opinion on tar files' },
  { group: 'test', command: 'strace', pack: 'strace', why: 'makes a chosen system call fail' },
  { group: 'test', command: 'unshare', pack: 'util-linux', why: 'namespaces made by another program' },
  { group: 'test', command: 'setpriv', pack: 'util-linux', why: 'runs the tests as an ordinary user' },
  { group: 'test', command: 'getfattr', pack: 'attr', why: 'reads extended attributes from outside' },
  { group: 'test', command: 'getcap', pack: 'libcap2-bin', why: 'reads file capabilities from outside' },
  { group: 'test', command: 'ps', pack: 'procps', why: 'looks for processes that were left' },
  { group: 'test', command: 'python3', pack: 'python3', why: 'writes odd archives; node-gyp runs on it' },
  { group: 'test', command: 'cc', pack: 'gcc', why: 'compiles the native part and the programs that tests run' },
  { group: 'test', command: 'make', pack: 'make', why: 'node-gyp runs it' },
  { group: 'test', command: 'tmux', pack: 'tmux', why: 'a terminal for the prompt' },
  { group: 'test', command: 'podman', pack: 'podman', why: 'pulls from our registry and pushes to it' },
  { group: 'test', command: 'buildah', pack: 'buildah', why: 'builds the same Dockerfiles; its configs are compared with ours' },
  { group: 'test', command: 'dockerd', pack: 'docker.io', why: 'pulls from our registry, runs what we built, pushes to it' },
  { group: 'test', command: 'openssl', pack: 'openssl', why: 'makes certificates for the tests of TLS' },
  { group: 'vm', command: 'qemu-system-x86_64', pack: 'qemu-system-x86', why: 'boots a second kernel, with cgroup v2' },
  { group: 'vm', command: 'cpio', pack: 'cpio', why: 'packs the initramfs of the second kernel' },
  { group: 'vm', command: 'busybox', pack: 'busybox-static', why: 'the programs in that initramfs' },
  { group: 'vm', command: 'mkfs.ext4', pack: 'e2fsprogs', why: 'makes the disk of the second kernel' },
  { group: 'pack', command: 'musl-gcc', pack: 'musl-tools', why: 'compiles the addon for musl' },
  { group: 'pack', command: 'aarch64-linux-gnu-gcc', pack: 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross', why: 'compiles for arm64' },
  { group: 'bench', command: 'bwrap', pack: 'bubblewrap', why: 'compared with' },
  { group: 'bench', command: 'crun', pack: 'crun', why: 'compared with' },
  { group: 'bench', command: 'podman', pack: 'podman', why: 'compared with' },
]

function isThere(command) {
  const path = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return path.some((directory) => {
    try {
      accessSync(join(directory, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** The peers of `groups` that this machine lacks. */
export function missingPeers(groups) {
  return peers.filter((peer) => groups.includes(peer.group) && !isThere(peer.command))
}

function apt(args) {
  const done = spawnSync('apt-get', args, { stdio: ['ignore', 2, 2], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  if (done.error || done.status !== 0) throw new Error(`apt-get ${args.join(' ')} failed`)
}

/** Root gets what is missing from apt; anyone else is told. Returns what is still missing. */
export function providePeers(groups) {
  const missing = missingPeers(groups)
  if (missing.length === 0) return missing
  const packs = [...new Set(missing.flatMap((peer) => peer.pack.split(' ')))]
  if (process.getuid?.() === 0 && isThere('apt-get')) {
    process.stderr.write(`Installing ${packs.join(' ')} …\n`)
    apt(['update', '-qq'])
    apt(['install', '-y', '-qq', '--no-install-recommends', ...packs])
    return missingPeers(groups)
  }
  process.stderr.write(`Missing; tests that need them are skipped. As root: apt-get install -y ${packs.join(' ')}\n`)
  for (const peer of missing) process.stderr.write(`  ${peer.command.padEnd(20)}${peer.why}\n`)
  return missing
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await script(() => {
    const missing = providePeers(process.argv.length > 2 ? process.argv.slice(2) : ['test', 'vm'])
    return missing.length > 0 ? 1 : 0
  })
}
