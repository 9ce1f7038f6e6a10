// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a Dockerfile has substitutions of its own
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { bind, buildImage, cache, dockerfileSteps, type LateStep, type Step, secret, ssh, tmpfs } from '../../../lib/build/index.ts'
import { image } from '../../../lib/fluent/image-builder.ts'
import { hostPlatform, Images } from '../../../lib/images/index.ts'
import { Store } from '../../../lib/store/index.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'
import { FakeRuntime } from '../fake-runtime.ts'

const read = (text: string, options = {}): readonly Step[] => image().fromDockerfile({ text, ...options }).steps

test('instructions are the steps that the verbs make', () => {
  const text = `
FROM debian:12
RUN apt-get update
RUN ["make", "-j2"]
COPY --chown=1:2 --chmod=755 --link --exclude=*.o src /app/
COPY --parents a/b c/ /x/
ADD --unpack=false https://example.org/a.tar.gz rootfs.tar /
WORKDIR /app
ENV PORT=8080 NAME="two words"
USER node:staff
LABEL org.x=y
EXPOSE 8080 53/udp
VOLUME /data
ENTRYPOINT ["node"]
CMD server.js
STOPSIGNAL SIGTERM
SHELL ["/bin/bash", "-c"]
HEALTHCHECK --interval=1s --start-interval=2s CMD ["true"]
ONBUILD RUN make
ARG VERSION=1 OTHER
`
  const verbs = image('debian:12')
    .run('apt-get update')
    .run(['make', '-j2'])
    .copy('src', '/app/', { chown: '1:2', chmod: 0o755, link: true, exclude: ['*.o'] })
    .copy(['a/b', 'c'], '/x/', { parents: true })
    .add(['https://example.org/a.tar.gz', 'rootfs.tar'], '/', { keepArchives: true })
    .workdir('/app')
    .env({ PORT: '8080', NAME: 'two words' })
    .user('node:staff')
    .label({ 'org.x': 'y' })
    .expose(8080, '53/udp')
    .volume('/data')
    .entrypoint(['node'])
    .cmd('server.js')
    .stopSignal('SIGTERM')
    .shell(['/bin/bash', '-c'])
    .healthcheck({ test: ['true'], interval: 1000, startInterval: 2000 })
    .onbuild('RUN make')
    .arg({ VERSION: '1', OTHER: undefined })
  assert.equal(read(text), verbs.steps)
})

test('mounts and networks of RUN', () => {
  const text = `FROM a AS build
FROM b
ENV D=/data
RUN --mount=type=cache,target=/root/.npm,sharing=locked,id=npm,uid=5,mode=0700 --network=none npm ci
RUN --mount=target=/src --mount=type=bind,from=build,src=/out,dst=/in,rw --mount=type=tmpfs,target=$D/tmp,size=64m make
RUN --mount=type=secret,id=token,required --mount=type=secret,id=key,target=/k,env=KEY --mount=type=ssh,id=x,required=true --network=host get
RUN --mount=type=cache,from=build,source=/c,target=/c,ro --security=sandbox x
`
  const build = image('a')
  const verbs = image('b')
    .env({ D: '/data' })
    .run('npm ci', { network: 'none', mounts: [cache('/root/.npm', { sharing: 'locked', id: 'npm', uid: 5, mode: 0o700 })] })
    .run('make', {
      mounts: [bind('/src'), bind('/in', { from: build, source: '/out', readWrite: true }), tmpfs('/data/tmp', { size: '64m' })],
    })
    .run('get', {
      mounts: [secret('token', { required: true }), secret('key', { target: '/k', env: 'KEY' }), ssh({ id: 'x', required: true })],
    })
    .run('x', { mounts: [cache('/c', { from: build, source: '/c', readOnly: true })] })
  assert.equal(read(text), verbs.steps)
})

test('heredocs: a script for the shell, a program, files', () => {
  const text = `FROM scratch
ENV A=1
RUN <<EOF
echo one
echo "$A"
EOF
RUN cat <<X - <<-"Y" > /both
x
X
\ty
\tY
RUN <<-EOF
\t#!/bin/cat
\tline
EOF
COPY <<one <<"two" <<-three /etc/
$A \\$A "$A"
one
$A \\$A
two
\tt
\tthree
COPY --chmod=644 <<EOF rel/name.txt
EOF
`
  const script = image('scratch').copy({ EOF: { content: '#!/bin/cat\nline\n', mode: 0o755 } }, '/')
  const verbs = image('scratch')
    .env({ A: '1' })
    .run('echo one\necho "$A"\n')
    .run('cat <<X - <<-"Y" > /both\nx\nX\n\ty\nY')
    .run('/dev/pipes/EOF', { mounts: [bind('/dev/pipes', { from: script })] })
    .copy({ one: '1 $A "1"\n', two: '$A \\$A\n', three: 't\n' }, '/etc/')
    .copy({ 'name.txt': '' }, 'rel/', { chmod: 0o644 })
  assert.equal(read(text), verbs.steps)
})

test('stages are described as builders are: by number, by name in any case, as bases', () => {
  const text = `FROM a AS One
RUN 1
FROM ONE AS two
RUN 2
FROM scratch
COPY --from=0 /x /
COPY --from=TWO /y /
COPY --from=debian:12 /z /
RUN --mount=from=one,target=/m 3
`
  const one = image('a').run('1')
  const two = image(one).run('2')
  const verbs = image('scratch')
    .copy('/x', '/', { from: one })
    .copy('/y', '/', { from: two })
    .copy('/z', '/', { from: 'debian:12' })
    .run('3', { mounts: [bind('/m', { from: one })] })
  const steps = read(text)
  assert.equal(steps, verbs.steps)
  const [first, second] = steps.flatMap((step) => (step.kind === 'copy' && step.source.kind === 'image' ? [step.source.base] : []))
  assert.ok(first?.kind === 'steps' && second?.kind === 'steps')
  const from = second.steps[0]
  assert.ok(from?.kind === 'from' && from.base.kind === 'steps' && from.base.steps === first.steps, 'a stage is one value')
})

test('the target is a stage by its name or number; what it does not need is not in it', () => {
  const text = 'FROM a AS one\nRUN 1\nFROM b AS two\nRUN 2\nFROM c\nRUN 3\n'
  assert.equal(read(text, { target: 'ONE' }), image('a').run('1').steps)
  assert.equal(read(text, { target: 1 }), image('b').run('2').steps)
  assert.equal(read(text, { target: '2' }), image('c').run('3').steps)
  assert.equal(read(text), image('c').run('3').steps)
})

test('a stage of a name that comes twice is the last before it', () => {
  assert.equal(read('FROM a AS x\nFROM b AS x\nFROM x\n'), image(image('b')).steps)
})

test('a name that no stage has is an image, never a file of this machine', () => {
  assert.equal(read('FROM host')[0], { kind: 'from', base: { kind: 'reference', reference: 'host' } })
  assert.equal(read('FROM rootfs.tar')[0], { kind: 'from', base: { kind: 'reference', reference: 'rootfs.tar' } })
  assert.throws(() => read('FROM /etc/rootfs.tar'), /line 1, column 6/)
  assert.throws(() => read('FROM ./x/'), /line 1, column 6/)
})

test('--platform chooses of an index, and may be an argument', () => {
  const steps = read('ARG ARCH=s390x\nFROM --platform=$BUILDPLATFORM a AS x\nFROM --platform=linux/$ARCH b\nCOPY --from=x / /\n')
  assert.equal(steps[0], { kind: 'from', base: { kind: 'reference', reference: 'b', platform: 'linux/s390x' } })
  const copied = steps[1]
  assert.ok(copied?.kind === 'copy' && copied.source.kind === 'image' && copied.source.base.kind === 'steps')
  const reference = { kind: 'reference', reference: 'a', platform: `linux/${hostPlatform.architecture}` }
  assert.equal(copied.source.base.steps[0], { kind: 'from', base: reference })
})

test('platform arguments follow the platform that is asked for', () => {
  const text = 'FROM scratch\nARG TARGETPLATFORM\nARG TARGETARCH TARGETVARIANT BUILDARCH TARGETSTAGE\n'
  const [, one, two] = read(text, { platform: 'linux/arm64/v8' })
  assert.equal(one, { kind: 'arg', defaults: { TARGETPLATFORM: 'linux/arm64/v8' } })
  assert.equal(two, {
    kind: 'arg',
    defaults: { TARGETARCH: 'arm64', TARGETVARIANT: 'v8', BUILDARCH: hostPlatform.architecture, TARGETSTAGE: 'default' },
  })
})

test('what only the build can know waits, as plain data, with the images that it names', () => {
  const [, late] = read('FROM scratch AS b\nFROM c\nCOPY --from=b $X /y\n')
  const { bases, ...rest } = late as LateStep
  assert.equal(rest, { kind: 'late', text: 'COPY --from=b $X /y', escaper: '\\', line: 3, column: 1 })
  assert.equal(bases, { b: { kind: 'steps', steps: image('scratch').steps } })
  assert.ok(Object.isFrozen(late))
  assert.equal(JSON.parse(JSON.stringify(late)), late)
})

test('what is certain does not wait', () => {
  const steps = read('FROM a\nENV A=1\nENV B=$A C=${A}2\nCOPY $B/x $C\n')
  assert.equal(steps, image('a').env({ A: '1' }).env({ B: '1', C: '12' }).copy('1/x', '12').steps)
})

/** The result's environment, what was run and with which, and its history; the base `with-env` sets `BASE=base`. */
async function outcome(text: string, options = {}, build = {}): Promise<Readonly<Record<string, string>>> {
  using directory = temporaryDirectory('dockerfile')
  const context = join(directory.path, 'context')
  mkdirSync(context)
  writeFileSync(join(context, 'f'), 'f')
  const runtime = new FakeRuntime(await Store.open(join(directory.path, 'store')))
  await buildImage(image('scratch').env({ BASE: 'base' }).steps, { tag: 'with-env' }, runtime)
  const built = await buildImage(dockerfileSteps({ text, ...options }), { context, ...build }, runtime)
  const variables = (built.config.Env ?? []).map((line) => line.split(/=(.*)/s).slice(0, 2))
  const ran = runtime.commands.flatMap(({ argv, env }) => [
    ['ran', argv.join(' ')],
    ...Object.entries(env).map(([name, value]) => [`ran with ${name}`, value]),
  ])
  return Object.fromEntries([...variables, ...ran, ['history', built.history.map(({ created_by }) => created_by).join('\n')]])
}

test('the base image, ARG and ENV give late variables their values', async () => {
  const found = await outcome('FROM with-env\nARG A=1\nENV X=$BASE-$A\nENV BASE=own\nENV Y=$BASE-$A-$X\nRUN echo $A')
  assert.equal([found.X, found.Y, found.ran, found['ran with A']], ['base-1', 'own-1-base-1', '/bin/sh -c echo $A', '1'])
})

test('values given to build win over those given to fromDockerfile, those over defaults', async () => {
  const text = 'FROM with-env\nARG A=default\nENV X=$A\nRUN true\n'
  assert.is((await outcome(text)).X, 'default')
  assert.is((await outcome(text, { args: { A: 'read' } })).X, 'read')
  const both = await outcome(text, { args: { A: 'read' } }, { args: { A: 'built' } })
  assert.equal([both.X, both['ran with A']], ['built', 'built'])
})

test('a late COPY copies, a late ARG is one, the history has what they turned out to be', async () => {
  const found = await outcome('FROM with-env\nARG N=f\nARG T=/to-$N\nCOPY $N $T/\nCOPY <<EOF /h-$BASE\n$N ${T}\nEOF\nENV T=$T\n')
  assert.is(found.T, '/to-f')
  assert.match(found.history ?? '', 'COPY f /to-f/')
  assert.match(found.history ?? '', 'COPY h-base /')
})

test('proxies are there without ARG, and not in the history', async () => {
  const found = await outcome('FROM with-env\nRUN get\n', { args: { HTTP_PROXY: 'http://proxy', no_proxy: 'x' } })
  assert.equal(
    [found['ran with HTTP_PROXY'], found['ran with http_proxy'], found['ran with NO_PROXY']],
    ['http://proxy', 'http://proxy', 'x'],
  )
  assert.not.match(found.history ?? '', 'proxy')
})

test('what is wrong with a value that only the build knows is told by the build, with its place', async () => {
  for (const step of ['EXPOSE $BASE', 'ENV X="${BASE:+${NOT:?is needed}}"']) {
    const error = await outcome(`FROM with-env\n\n  ${step}\n`).catch((each: unknown) => each)
    const { code, details } = error as { code: string; details: object }
    assert.equal([code, details], ['dockerfile_invalid', { line: 3, column: 3, step }])
  }
})

test('an ONBUILD of the base that is no instruction is the fault of the image', async () => {
  using directory = temporaryDirectory('dockerfile')
  const runtime = new FakeRuntime(await Store.open(join(directory.path, 'store')))
  await buildImage([...image('scratch').steps, { kind: 'onbuild', instruction: 'RUN <<EOF\nnever' }], { tag: 'broken' }, runtime)
  const error = await buildImage(image('broken').steps, {}, runtime).catch((each: unknown) => each)
  assert.is((error as { code: string }).code, 'image_invalid')
})

test('a context of its own goes with the steps, also where another build copies from them', async () => {
  using directory = temporaryDirectory('dockerfile')
  const one = join(directory.path, 'one')
  const two = join(directory.path, 'two')
  for (const context of [one, two]) {
    mkdirSync(context)
    writeFileSync(join(context, 'f'), context)
  }
  writeFileSync(join(one, 'Dockerfile'), 'FROM scratch\nCOPY f /\n')
  const runtime = new FakeRuntime(await Store.open(join(directory.path, 'store')))
  const inner = image().fromDockerfile({ context: one })
  const outer = image('scratch').copy('f', '/inner', { from: inner }).copy('f', '/outer')
  await buildImage(outer.steps, { context: two, tag: 'x' }, runtime)
  const { layers } = await new Images(runtime.store).get('x')
  await runtime.unpack({ layers })
  const root = runtime.snapshot(layers.at(-1)!.chainId)
  assert.equal([readFileSync(join(root, 'inner'), 'utf8'), readFileSync(join(root, 'outer'), 'utf8')], [one, two])
})

test('sixty stages, each on the one before and with files of the one before that, are sixty', () => {
  const stages = Array.from({ length: 60 }, (_, at) => {
    const copy = at > 1 ? `COPY --from=s${at - 2} / /${at}\n` : ''
    return `FROM ${at === 0 ? 'scratch' : `s${at - 1}`} AS s${at}\nENV A${at}=1\n${copy}`
  })
  const builder = image().fromDockerfile({ text: stages.join('') })
  assert.is(builder.toDockerfile().match(/^FROM/gm)?.length, 60)
  assert.ok(String(builder.plan()).length > 0)
})

test.run()
