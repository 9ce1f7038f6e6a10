// Compiled, never run: what the verbs of a build take, and what they refuse before anything runs.
import type { RunMount } from '../../lib/index.ts'
import { bind, type ContextInput, cache, type ImageBuilder, image, secret, ssh, tmpfs } from '../../lib/index.ts'
import { assert, type Equal } from './equal.ts'

const base = image('host')

const mounts: readonly RunMount[] = [
  cache('/root/.npm', { id: 'npm', sharing: 'locked', mode: 0o700, uid: 1, gid: 1, from: base, source: 'x', readOnly: false }),
  bind('/src', { from: base, source: 'src', readWrite: true }),
  bind('/context'),
  tmpfs('/tmp', { size: '64m' }),
  secret('token', { target: '/t', env: 'TOKEN', mode: 0o440, uid: 1, gid: 1, required: true }),
  ssh({ id: 'default', target: '/agent', required: true }),
]

const app = base
  .run(['make', '-j2'], {
    env: { A: '1' },
    cwd: '/src',
    user: 1000,
    network: 'none',
    timeout: '1m',
    mounts,
    secrets: { token: { env: 'TOKEN' } },
  })
  .add(['a.tar.gz', 'https://example.org/b'], '/', { chown: 'www-data', chmod: 'u=rwX,go=rX', keepArchives: true, exclude: ['*.log'] })
  .add('https://example.org/b', '/b', { checksum: 'sha256:…', link: true })
  .copy('src', '/app', { from: base, parents: true, exclude: ['**/*.md'], link: true, chown: 0, chmod: '644' })
  .copy({ 'a.js': 'text', 'b.sh': { content: new Uint8Array(), mode: 0o755 } }, '/')
  .arg({ VERSION: '1', CHANNEL: undefined })
  .onbuild('RUN make', 'RUN make install')
  .healthcheck({ test: ['true'], interval: '1m30s', timeout: 2000, startPeriod: 0, startInterval: '1s', retries: 3 })

assert<Equal<typeof app, ImageBuilder>>()
assert<Equal<ReturnType<ImageBuilder['add']>, ImageBuilder>>()
assert<Equal<RunMount['kind'], 'cache' | 'bind' | 'tmpfs' | 'secret' | 'ssh'>>()

/** A description says what it is given: nothing runs here. */
export const built = () =>
  app.build({
    args: { VERSION: '2' },
    secrets: { token: 'value', other: { file: 'path' } },
    ssh: { default: '/run/agent.sock' },
    context: { directory: '.', ignore: ['*'] },
  })

const contexts: readonly ContextInput[] = [
  '.',
  { files: ['a'], root: '.' },
  { tar: 'a.tar' },
  { tar: process.stdin },
  { memory: { a: '' } },
]
void contexts

// @ts-expect-error A mount is made by its function.
base.run('make', { mounts: ['/root/.npm'] })

// @ts-expect-error There are three ways to share.
cache('/c', { sharing: 'exclusive' })

// @ts-expect-error A secret is text, or where it is.
base.run('make', { secrets: { token: 1 } })

// @ts-expect-error Files of another image are named by paths.
base.add({ a: 'text' }, '/')

// @ts-expect-error A network of no such name.
base.run('make', { network: 'bridge' })

// @ts-expect-error One kind of context at a time.
base.build({ context: { direktory: '.' } })

// @ts-expect-error Steps are not changed in place.
app.steps.push(app.steps[0])
