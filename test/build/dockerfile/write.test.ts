// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a Dockerfile has substitutions of its own
import * as assert from 'uvu/assert'
import { bind, cache, type Step, secret, ssh, tmpfs } from '../../../lib/build/index.ts'
import { StrakeError } from '../../../lib/errors/index.ts'
import { ImageBuilder, image } from '../../../lib/fluent/image-builder.ts'
import { test } from '../../support/uvu.ts'
import { cases } from './cases.ts'

const again = (builder: ImageBuilder): ImageBuilder => image().fromDockerfile({ text: builder.toDockerfile() })
const base = image('debian:12')
const builder = base.run('make').copy({ f: 'x\n' }, '/')

const said: Readonly<Record<string, ImageBuilder>> = {
  'commands in both forms': base.run('echo "$A" \\$B \\\\').run(['a', 'b "c"', '$d']).cmd('x').cmd([]).entrypoint(['é', '\n']),
  'commands that look like something else': base
    .run('[ -e x ] && true')
    .run('--flag')
    .run('# no')
    .cmd("['a']")

    .run('echo "<<EOF"'),
  'commands of several lines': base.run('a\n\nb\n').run('cat <<EOF\nx\nEOF\n').run('cat <<X >y\nfoo\nX').run('EOF\nEOF1\n'),
  'a script with a line that says who runs it': base.run('/dev/pipes/EOF', {
    mounts: [bind('/dev/pipes', { from: image('scratch').copy({ EOF: { content: '#!/bin/sh\ntrue\n', mode: 0o755 } }, '/') })],
  }),
  variables: base.env({ A: '$x "q" \\ é \'s\'', B: '', C: 'a=b', 'D.e': '#x', F: '\t', 'g h': '1' }).label({ 'a b': 'c=d', '"': "'" }),
  arguments: base.arg({ A: 'two words', B: undefined, C: '' }),
  settings: base
    .workdir('/a b')
    .workdir('$x')
    .user('1:2')
    .expose(80, '53/udp')
    .volume('/a b', '/$c')
    .stopSignal(9)
    .shell(['/bin/bash', '-c']),
  checks: base
    .healthcheck({ test: 'curl x || exit 1', interval: 1500, timeout: 1000, startPeriod: 60_000, startInterval: 1, retries: 3 })
    .healthcheck({ test: ['a', 'b'] })
    .healthcheck({ test: ['CMD', 'CMD', 'none'] })
    .healthcheck({ test: ['CMD-SHELL', 'none'] })
    .healthcheck({ test: 'none' }),
  triggers: base.onbuild('RUN make $x', 'COPY <<E /x\n$y\nE'),
  copies: base
    .copy('a', '/b')
    .copy(['a b', '$c', 'd*', 'e\\*'], '/x y/', { chown: 'a:b', chmod: 'u=rwX,go=rX', exclude: ['*.o', 'a b', '"'] })
    .copy('/x', 'y', { from: builder, link: true, chmod: 0o4755 })
    .copy('.', '.', { from: 'busybox', parents: true })
    .copy('<<x', '/y'),
  archives: base.add(['https://example.org/a?b=c&d', 'x.tar'], '/', { keepArchives: true }).add('https://example.org/x', '/y', {
    checksum: `sha256:${'a'.repeat(64)}`,
  }),
  'files from memory': base
    .copy({ motd: '$x\nEOF\n' }, '/etc/')
    .copy({ a: 'A\n', b: '' }, '/d/', { chown: '1', chmod: 0o600 })
    .copy({ 'name.txt': 'é\r\n' }, 'rel/'),
  mounts: base.run('x', {
    network: 'none',
    mounts: [
      cache('/c', { id: 'a,b "c" \'d\' \\e', sharing: 'locked', mode: 0o700, uid: 1, gid: 2, from: builder, source: 'x y' }),
      cache('rel', { readOnly: true }),
      bind('/b', { from: builder, source: '/s', readWrite: true }),
      bind('/ctx'),
      tmpfs('/t', { size: '64m' }),
      secret('tok', { env: 'T' }),
      secret('other', { required: true, mode: 0o440 }),
      secret('third', { target: '/$x', uid: 3 }),
      ssh(),
      ssh({ id: 'x', target: '/s.sock', required: true }),
    ],
  }),
  repositories: base.add(['git@example.org:app.git#v1:src', 'https://example.org/x.git'], '/src/', { keepGitDir: true, exclude: ['*.md'] }),
  'stages on stages': image(builder)
    .run('1')
    .copy('/a', '/b', { from: image(builder).run('2') }),
}

for (const [name, each] of Object.entries(said)) {
  test(`what is written is read back as the same steps: ${name}`, () => {
    assert.equal(again(each).steps, each.steps, each.toDockerfile())
  })
}

test('what was read from a Dockerfile is written so that it is read as the same', () => {
  for (const [name, { text, target, args }] of Object.entries(cases)) {
    const options = { text, ...(target === undefined ? {} : { target }), ...(args ? { args } : {}) }
    const first = image().fromDockerfile(options)
    // The arguments that were given are those of an ONBUILD yet to come; what is written names them no more.
    const kept = (key: string, value: unknown): unknown => {
      if (key === 'line' || key === 'bases') return undefined
      return (value as Step | undefined)?.kind === 'from' ? { ...(value as Step), args: undefined } : value
    }
    const told = (steps: ImageBuilder['steps']): unknown => JSON.parse(JSON.stringify(steps, kept))
    assert.equal(told(again(first).steps), told(first.steps), `${name}: ${first.toDockerfile()}`)
  }
})

test('a late instruction keeps its words; its stages and its escape are those of what is written', () => {
  const head = '# escape=`\nFROM a AS NAME\n'
  const rest = 'FROM b\nARG X\nCOPY --from=NAME --chown=1 $X /z`$y\nRUN --mount=type=bind,from=NAME,target=/$X make\nCOPY <<E /$X\n$X\nE\n'
  const written = image()
    .fromDockerfile({ text: (head + rest).replaceAll('NAME', 'one') })
    .toDockerfile()
  assert.is(written, `${head}\n${rest}`.replaceAll('NAME', 'stage-0'))
})

test('a command that only a heredoc can hold gets an end of its line', () => {
  for (const command of ['a << b', ' a', 'a\nb', 'x \\', '["a"]']) {
    assert.is(base.run(command).toDockerfile(), `FROM debian:12\nRUN <<EOF\n${command}\nEOF\n`)
    assert.equal(again(base.run(command)).steps, base.run(`${command}\n`).steps)
  }
})

test('files from memory of other modes and in directories are a COPY each, with the same result', () => {
  const builder = base.copy({ 'etc/motd': 'hello\n', 'bin/x': { content: '#!/bin/sh\n', mode: 0o755 } }, '/')
  assert.is(builder.toDockerfile(), 'FROM debian:12\nCOPY <<"EOF" /etc/motd\nhello\nEOF\nCOPY --chmod=755 <<"EOF" /bin/x\n#!/bin/sh\nEOF\n')
  assert.is(again(builder).toDockerfile(), builder.toDockerfile())
})

test('files that no heredoc can hold go into the context, where somebody takes them', () => {
  const builder = base.copy({ 'app.js': 'no end', 'd/logo': { content: Uint8Array.of(0, 255), mode: 0o600 }, ok: 'ok\n' }, '/app/')
  const files = new Map<string, Uint8Array>()
  const text = builder.toDockerfile({ onFile: (path, content) => files.set(path, content) })
  assert.equal(
    [...files.values()].map((each) => Buffer.from(each).toString('latin1')),
    ['no end', '\x00\xff'],
  )
  const [script = '', logo = ''] = files.keys()
  assert.is(
    text,
    `FROM debian:12\nCOPY --chmod=644 ${script} /app/app.js\nCOPY --chmod=600 ${logo} /app/d/logo\nCOPY <<"EOF" /app/ok\nok\nEOF\n`,
  )
  assert.match(script, /^strake-files\/[0-9a-f]{16}\/app\.js$/)
})

test('a file from memory that cannot be written says why: what is in it, or its name', () => {
  const refusal = (files: Readonly<Record<string, string>>): string => {
    try {
      return base.copy(files, '/d/').toDockerfile()
    } catch (error) {
      return (error as StrakeError).message
    }
  }
  assert.match(refusal({ f: 'x' }), 'the file f is no text whose last line has an end')
  assert.match(refusal({ 'a b': 'x\n' }), 'no heredoc goes to "/d/a b"')
  const text = base.copy({ 'a b': 'x\n' }, '/d/').toDockerfile({ onFile: () => {} })
  assert.match(text, /COPY --chmod=644 \["strake-files\/[0-9a-f]{16}\/a b","\/d\/a b"\]/)
})

test('where the values of secrets are is not written', () => {
  const text = base.run('get', { secrets: { token: 'do not tell' } }).toDockerfile()
  assert.is(text, 'FROM debian:12\nRUN --mount=type=secret,id=token,required get\n')
})

test('stages are named so that no image is taken for one', () => {
  const text = image('stage-0')
    .copy('/', '/', { from: image('stage-1').run('x') })
    .toDockerfile()
  assert.equal(text.match(/^FROM .*/gm), ['FROM stage-1 AS stage-2', 'FROM stage-0'])
  assert.equal(again(image('stage-0').copy('/', '/', { from: image('stage-1').run('x') })).toDockerfile(), text)
})

const refused: Readonly<Record<string, ImageBuilder>> = {
  "this machine's tools": image('host'),
  'an archive': image('./rootfs.tar'),
  'a layout': image('oci:/x:y'),
  'a time limit': base.run('x', { timeout: 5 }),
  'a directory of its own': base.run('x', { cwd: '/y' }),
  'variables of its own': base.run('x', { env: { A: '1' } }),
  'a user of its own': base.run('x', { user: 'a' }),
  'a value of several lines': base.env({ A: 'a\nb' }),
  'a label with = in its name': base.label({ 'e=f': '1' }),
  'a command of several lines': base.cmd('a\nb'),
  'a file without an end': base.copy({ a: 'x' }, '/'),
  'a file of bytes': base.copy({ a: Uint8Array.of(0xff, 0x0a) }, '/'),
  'an instruction that is none': new ImageBuilder([...base.steps, { kind: 'onbuild', instruction: 'FOO\nBAR' }]),
}

for (const [name, each] of Object.entries(refused)) {
  test(`a Dockerfile cannot say ${name}`, () => {
    try {
      each.toDockerfile()
    } catch (error) {
      assert.instance(error, StrakeError)
      assert.is((error as StrakeError).code, 'dockerfile_invalid')
      assert.type((error as StrakeError).details?.step, 'string')
      return
    }
    assert.unreachable(each.toDockerfile())
  })
}

test.run()
