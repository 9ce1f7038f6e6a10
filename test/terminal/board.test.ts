import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { Board } from '../../lib/terminal/board.ts'
import { bar, bytes, fit, openBoard, printable, seconds } from '../../lib/terminal/index.ts'
import { test } from '../support/uvu.ts'

interface Slate {
  readonly board: Board
  /** Lines that stay, and then those of the last frame. */
  readonly said: string[]
  frame: string[]
  isOver: boolean
}

function slate(columns = 40, rows = 10): Slate {
  const made = { said: [] as string[], frame: [] as string[], isOver: false }
  const draw = Object.assign(
    (text: string) => {
      made.frame = text.split('\n')
    },
    {
      clear: () => {
        made.frame = []
      },
      done: () => {
        made.isOver = true
      },
      persist: (text: string) => {
        made.frame = []
        made.said.push(...text.split('\n'))
      },
    },
  )
  return Object.assign(made, { board: new Board({ columns, rows }, draw) })
}

const still = (...lines: string[]) => ({ lines: () => lines })

test('views stand one below the other, what is printed stays above them, and the last one leaves the terminal as it was', () => {
  const place = slate()
  const one = place.board.open(still('one'))
  const two = place.board.open(still('two', 'more'))
  assert.equal(place.frame, ['one', 'two', 'more'])
  one.print(['a step'])
  assert.equal([place.said, place.frame], [['a step'], ['one', 'two', 'more']])
  one.close(['one is over'])
  assert.equal([place.said, place.frame, place.isOver], [['a step', 'one is over'], ['two', 'more'], false])
  two.close()
  assert.equal([place.said.length, place.frame, place.isOver], [2, [], true])
})

test('what is over before its delay is never seen; what is not brings its lines along', async () => {
  const place = slate()
  const quick = place.board.open(still('quick'), 60_000)
  quick.print(['x'])
  quick.close(['done'])
  assert.equal([place.said, place.frame], [[], []])
  const slow = place.board.open(still('slow'), 5)
  slow.print(['held'])
  await sleep(50)
  assert.equal([place.said, place.frame], [['held'], ['slow']])
  slow.close()
})

test('no line is as wide as the terminal, and no frame as high', () => {
  const place = slate(10, 4)
  const pane = place.board.open(still('0123456789abc', '1', '2', '3', '4'))
  assert.equal(place.frame, ['2', '3', '4'])
  pane.print(['0123456789abc'])
  assert.equal(place.said, ['01234567…'])
  pane.close()
})

test('with STRAKE_PROGRESS=none what was drawn goes, and comes again afterwards', async () => {
  const place = slate()
  const pane = place.board.open(still('view'))
  process.env.STRAKE_PROGRESS = 'none'
  await sleep(250)
  pane.print(['unseen'])
  assert.equal([place.said, place.frame], [[], []])
  delete process.env.STRAKE_PROGRESS
  await sleep(250)
  assert.equal(place.frame, ['view'])
  pane.close()
})

test('there is no board where stderr is no terminal', async () => {
  const before = process.stderr.isTTY
  try {
    process.stderr.isTTY = false
    assert.is(await openBoard(), undefined)
    process.stderr.isTTY = true
    process.env.STRAKE_PROGRESS = 'none'
    assert.is(await openBoard(), undefined)
  } finally {
    delete process.env.STRAKE_PROGRESS
    process.stderr.isTTY = before
  }
})

test('text from elsewhere moves no cursor and changes no colour', () => {
  assert.is(printable('\x1b[31mred\x1b[2J \x1b]0;title\x07x\n'), 'red x')
  assert.is(printable('10%\r50%\r100%\r\n'), '100%')
  assert.is(printable('a\x07b\u202ec\u2028d\x9b1m'), 'a b c d')
})

test('amounts, times, bars and cut lines', () => {
  assert.equal([0, 999, 1000, 31_234_567, 540_000_000, 7e12].map(bytes), ['0 B', '999 B', '1.0 kB', '31.2 MB', '540 MB', '7.0 TB'])
  assert.equal([0, 1234, 59_940, 200_000].map(seconds), ['0.0 s', '1.2 s', '59.9 s', '3 min 20 s'])
  assert.equal(
    [0, 0.5, 1, 7, -1].map((share) => bar(share, 4)),
    ['░░░░', '██░░', '████', '████', '░░░░'],
  )
  assert.equal([fit('abc', 3), fit('abcd', 3), fit('a', 0)], ['abc', 'ab…', '…'])
})

test.run()
