import * as assert from 'uvu/assert'
import { errnoNumbers } from '../../lib/sys/index.ts'
import { Outbox } from '../../lib/zygote/outbox.ts'
import { test } from '../support/uvu.ts'

const { EAGAIN, EBADF, ENOBUFS, ENOMEM, EPIPE, ETOOMANYREFS } = errnoNumbers

/** An outbox over a socket that answers as told, and at last takes everything. */
function outboxWith(answers: number[], patience = 2000) {
  const sent: string[] = []
  const watched: boolean[] = []
  const outbox = new Outbox({
    send: (message) => {
      const errno = answers.shift() ?? 0
      if (errno === 0) sent.push(message.toString())
      return errno
    },
    watch: (wanted) => watched.push(wanted),
    patience,
  })
  const add = (text: string): Promise<number> => new Promise((resolve) => outbox.add(Buffer.from(text), [], resolve))
  return { outbox, sent, watched, add }
}

test('a message for which the kernel has no memory is tried again by itself, and those behind it keep their order', async () => {
  for (const errno of [ENOBUFS, ENOMEM]) {
    const { outbox, sent, watched, add } = outboxWith([errno, errno, 0, errno])
    const done = [add('one'), add('two'), add('three')]
    assert.not(outbox.isEmpty)
    assert.equal(await Promise.all(done), [0, 0, 0])
    assert.equal(sent, ['one', 'two', 'three'])
    assert.ok(outbox.isEmpty)
    assert.not(watched.includes(true), 'the socket is writable all the time')
  }
})

test('a message for which the kernel never has memory is given up after a while, and what is behind it with it', async () => {
  const { outbox, sent, add } = outboxWith(new Array<number>(1000).fill(ENOBUFS), 30)
  assert.equal(await Promise.all([add('one'), add('two')]), [ENOBUFS, ENOBUFS])
  assert.ok(outbox.isEmpty)
  assert.equal(sent, [])
})

test('a full socket is waited for without bound, until it says that it takes more', async () => {
  for (const errno of [EAGAIN, ETOOMANYREFS]) {
    const { outbox, sent, watched, add } = outboxWith([errno], 0)
    const done = [add('one'), add('two')]
    assert.equal([sent, watched], [[], [true]])
    outbox.flush()
    assert.equal(await Promise.all(done), [0, 0])
    assert.equal(
      [sent, watched],
      [
        ['one', 'two'],
        [true, false],
      ],
    )
  }
})

test('any other failure is told at once, and the next message is sent; what waits when it is closed is done with', async () => {
  const { outbox, sent, add } = outboxWith([EBADF, 0, EAGAIN])
  assert.is(await add('one'), EBADF)
  assert.is(await add('two'), 0)
  const waiting = add('three')
  outbox.close(EPIPE)
  assert.is(await waiting, EPIPE)
  assert.equal(sent, ['two'])
})

test.run()
