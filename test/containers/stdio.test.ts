import * as assert from 'uvu/assert'
import { type Image, image } from '../../lib/index.ts'
import { idKind } from '../support/machine.ts'
import { test } from '../support/uvu.ts'

/** As the images of web servers have it: the log is a link to /dev/stdout. */
const script = `echo out > /dev/stdout; echo err > /dev/stderr; cat < /dev/stdin
ln -sf /dev/stdout /tmp/access.log; echo logged >> /tmp/access.log`
const wanted = ['out\ngiven\nlogged\n', 'err\n']
/** With a single id there is no other user. */
const users = idKind === 'single' ? [0] : [0, 65_534]
let base: Image

test.before(async () => {
  base = await image('host').build()
})

for (const user of users) {
  test(`/dev/stdin, /dev/stdout and /dev/stderr are opened by name, by user ${user}`, async () => {
    await using container = await base.start({ cmd: ['sleep', '600'], user })
    for (const made of [
      base.exec(script, { user, stdin: 'given\n' }),
      base.exec(script, { user, stdin: 'given\n', userns: 'private' }),
      container.exec(script, { stdin: 'given\n' }),
      container.exec(script, { user, stdin: 'given\n' }),
    ]) {
      const { stdout, stderr } = await made
      assert.equal([stdout, stderr], wanted)
    }
    const { stdout } = await base.exec('echo out > /dev/stdout; echo err > /dev/stderr', { user, tty: true })
    assert.is(stdout.replaceAll('\r', ''), 'out\nerr\n')
  })

  test(`what a container's own command writes there is in its log, and a step's in its output: user ${user}`, async () => {
    await using container = await base.start({ cmd: ['sh', '-c', 'echo out > /dev/stdout; echo err > /dev/stderr'], user })
    await container.wait()
    const lines: string[] = []
    for await (const { stream, text } of container.logs()) lines.push(`${stream} ${text}`)
    assert.equal(lines.sort(), ['stderr err', 'stdout out'])
    const said: string[] = []
    await image(base)
      .run(`echo ${Math.random()}; echo said > /dev/stdout`, { user: String(user) })
      .build({ onProgress: (event) => event.type === 'log' && said.push(Buffer.from(event.data).toString()) })
    assert.match(said.join(''), /^said$/m)
  })
}

test.run()
