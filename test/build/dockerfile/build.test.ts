import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { BuildError } from '../../../lib/build/index.ts'
import { type Image, image } from '../../../lib/fluent/index.ts'
import { temporaryDirectory } from '../../support/temporary.ts'
import { test } from '../../support/uvu.ts'

const output = async (built: Image, command: string): Promise<string> => (await built.exec(command, { check: true })).stdout

/** Dockerfiles start from images that have a name. */
async function named(): Promise<void> {
  await image('host').env({ GREETING: 'hello' }).onbuild('RUN echo "$GREETING" > /triggered').build({ tag: 'tools' })
}

test('commands, scripts and programs of heredocs run; ARG and ENV are their variables', async () => {
  await named()
  const text = `FROM tools
ARG WHO=you
ENV AGAIN="$GREETING $WHO"
RUN <<EOF
set -e
echo "$GREETING, $WHO" > /one
echo two >> /one
EOF
RUN cat <<A > /three; cat <<-"B" >> /three
$AGAIN
A
\t$AGAIN
\tB
RUN <<EOF
#!/bin/cat
a program
EOF
RUN ["/bin/sh", "-c", "echo $WHO > /four"]
SHELL ["/bin/sh", "-e", "-c"]
RUN false; true
`
  const builder = image().fromDockerfile({ text, args: { WHO: 'world' } })
  const error = await builder.build().catch((each: unknown) => each)
  assert.instance(error, BuildError)
  const { state } = error as BuildError<Image>
  assert.is(await output(state, 'cat /triggered /one /three /four'), 'hello\nhello, world\ntwo\nhello world\n$AGAIN\nworld\n')
  assert.is(state.config.OnBuild, undefined)
})

test('files of the context, of stages and of heredocs are where COPY puts them; stages that nobody needs are not built', async () => {
  using directory = temporaryDirectory('dockerfile')
  await named()
  mkdirSync(join(directory.path, 'src'))
  writeFileSync(join(directory.path, 'src', 'a.txt'), 'a\n')
  writeFileSync(join(directory.path, 'src', 'b.o'), 'b\n')
  const text = `ARG FROM=tools
FROM $FROM AS build
WORKDIR /work
COPY --exclude=*.o src ./
RUN --mount=type=bind,source=src,target=/src cat /src/b.o a.txt > out; ls > /names
FROM tools AS unneeded
RUN exit 1
FROM $FROM
WORKDIR /app
COPY --from=BUILD /work/out /names ./
COPY --chmod=600 <<EOF secret/$GREETING.txt
$GREETING \\$x
EOF
RUN --mount=type=bind,from=build,source=/work,target=/in cp /in/a.txt from-mount
RUN --mount=type=cache,target=/cache echo x >> /cache/x && cat /cache/x > cached
`
  writeFileSync(join(directory.path, 'Dockerfile'), text)
  const builder = image().fromDockerfile({ context: directory.path })
  const built = await builder.build()
  assert.is(await output(built, 'cat out names secret/hello.txt from-mount cached'), 'b\na\na.txt\nout\nhello $x\na\nx\n')
  assert.is(await output(built, 'stat -c %a secret/hello.txt'), '600\n')
  assert.is((await builder.build()).digest, built.digest, 'all of it from the cache')
  const again = await image().fromDockerfile({ text: builder.toDockerfile(), context: directory.path }).build()
  assert.is(again.digest, built.digest, 'and so is what was written and read')
})

test.run()
