// The whole suite as two ordinary users, by root: `strake-sub` has a range of ids in /etc/subuid and /etc/subgid, `strake-one` has none.
// Both read one copy of the tree, set up here and closed to their writing. Arguments are passed on to scripts/test.mjs; `--node PATH`
// chooses the Node, `--user NAME` one of the two.
import { spawnSync } from 'node:child_process'
import { appendFileSync, chmodSync, chownSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { debianTar } from './debian.mjs'
import { providePeers } from './peers.mjs'
import { removeTree } from './remove-tree.mjs'
import { root, script, setUp } from './setup.mjs'

// What does not depend on how many ids there are is tried as the first of them.
const sameForAll =
  'house sys errors store cgroups repl process/confinement registry/server registry/client/c registry/client/h registry/client/p ' +
  'registry/client/u layers/walk layers/decompress build/host fluent/store-killed images/killed'
const users = [
  { name: 'strake-sub', ids: 65_536, without: [] },
  { name: 'strake-one', ids: 0, without: sameForAll.split(' ').map((part) => `!test/${part}`) },
]

function run(command, args, options = {}) {
  const done = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options })
  if (done.error) throw done.error
  return done
}

function must(command, args) {
  const done = run(command, args)
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${done.status ?? done.signal}`)
}

const linesOf = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [])

/** The first id that no range of /etc/subuid and /etc/subgid holds. */
function firstFreeId() {
  const ends = ['/etc/subuid', '/etc/subgid'].flatMap(linesOf).map((line) => {
    const [, start, size] = line.split(':')
    return Number(start) + Number(size)
  })
  return Math.max(600_000, ...ends)
}

/** Makes the user where it is missing; its uid and gid. */
function provideUser({ name, ids }) {
  const find = () => linesOf('/etc/passwd').find((line) => line.startsWith(`${name}:`))
  // --system: useradd gives no range of ids by itself.
  if (!find()) must('useradd', ['--system', '--create-home', '--user-group', '--shell', '/bin/bash', name])
  const hasRange = linesOf('/etc/subuid').some((line) => line.startsWith(`${name}:`))
  if (ids > 0 && !hasRange) {
    const first = firstFreeId()
    appendFileSync('/etc/subuid', `${name}:${first}:${ids}\n`)
    appendFileSync('/etc/subgid', `${name}:${first}:${ids}\n`)
  }
  if (ids === 0 && hasRange) throw new Error(`${name} has a range in /etc/subuid, and is to have none`)
  const [, , uid, gid, , home] = find().split(':')
  return { name, uid: Number(uid), gid: Number(gid), home }
}

/** The tree without what only git and packing need, readable by everyone. */
function copyTree(directory) {
  const left = new Set(['.git', 'prebuilds', 'dist.new', '.setup.lock'].map((name) => join(root, name)))
  cpSync(root, directory, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true, filter: (path) => !left.has(path) })
  // Nothing to make there, or made now: the users themselves may not write.
  must(process.execPath, [join(directory, 'scripts/setup.mjs')])
  must('chmod', ['-R', 'a+rX,go-w', directory])
}

/** Root's Debian where the users can read it: one of them cannot make it. Undefined where the tests that are run do not need it. */
function shareDebian(scratch, filters) {
  if (filters.length > 0 && !filters.some((filter) => filter.includes('real') || filter.includes('debian'))) return undefined
  const shared = join(scratch, 'debian.tar')
  copyFileSync(debianTar(), shared)
  chmodSync(shared, 0o644)
  return shared
}

function runAs(user, node, directory, debian, args) {
  const scratch = join(directory, '..', user.name)
  for (const name of ['', 'run', 'tmp', 'cache', 'data', 'config']) {
    mkdirSync(join(scratch, name), { recursive: true })
    chmodSync(join(scratch, name), 0o700)
    chownSync(join(scratch, name), user.uid, user.gid)
  }
  const environment = {
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    SHELL: '/bin/bash',
    LANG: 'C.UTF-8',
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin',
    TMPDIR: join(scratch, 'tmp'),
    XDG_RUNTIME_DIR: join(scratch, 'run'),
    XDG_DATA_HOME: join(scratch, 'data'),
    XDG_CACHE_HOME: join(scratch, 'cache'),
    XDG_CONFIG_HOME: join(scratch, 'config'),
    ...(process.env.CI ? { CI: process.env.CI } : {}),
    ...(debian ? { STRAKE_TEST_DEBIAN: debian } : {}),
  }
  const identity = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--init-groups', '--inh-caps=-all']
  const done = run('setpriv', [...identity, node, join(directory, 'scripts/test.mjs'), ...args], { cwd: directory, env: environment })
  return done.status === 0
}

await script(() => {
  if (process.getuid?.() !== 0) throw new Error('only root can become other users; run npm test as yourself instead')
  const { values, positionals } = parseArgs({ options: { node: { type: 'string' }, user: { type: 'string' } }, allowPositionals: true })
  setUp()
  providePeers(['test', 'vm'])
  const scratch = mkdtempSync('/var/tmp/strake-users-')
  chmodSync(scratch, 0o755)
  try {
    const tree = join(scratch, 'tree')
    copyTree(tree)
    const debian = shareDebian(scratch, positionals)
    const chosen = users.filter((user) => !values.user || user.name === values.user)
    if (chosen.length === 0) throw new Error(`--user is one of ${users.map((user) => user.name).join(', ')}`)
    const results = chosen.map((user) => {
      console.log(`\nAs ${user.name}, ${user.ids > 0 ? `with ${user.ids} subordinate ids` : 'with a single id'}`)
      return runAs(provideUser(user), values.node ?? process.execPath, tree, debian, positionals.length > 0 ? positionals : user.without)
    })
    return results.every(Boolean) ? 0 : 1
  } finally {
    removeTree(scratch)
  }
})
