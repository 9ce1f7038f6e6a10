// Requests that nobody sends: seeded mutations of valid ones, sent to an agent as they are. It answers, or ends; it does not hang, and it
// does not read where it must not. STRAKE_FUZZ_SEED and STRAKE_FUZZ_CASES try others.
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import * as assert from 'uvu/assert'
import { idRange } from '../../lib/ids/index.ts'
import { encodeOps, encodeProgram, flags, type Op, type Program, SlotTable } from '../../lib/sys/index.ts'
import { type Child, type ChildExit, type Connection, launchAgent } from '../../lib/zygote/index.ts'
import { encodeRequest, headerSize, replies, requestFlags, requests } from '../../lib/zygote/protocol.ts'
import { binding, closeFd, type RawReply } from '../../native/binding.ts'
import { assertNoMoreFds, quietFds } from '../support/fds.ts'
import { test } from '../support/uvu.ts'
import { opNames, sampleOp } from '../sys/sample.ts'

const seed = Number(process.env.STRAKE_FUZZ_SEED ?? 1)
const cases = Number(process.env.STRAKE_FUZZ_CASES ?? 3000)
const { CLONE, MS, O } = flags
const native = binding()

/** mulberry32: numbers from 0 up to `below`, the same for the same seed. */
function generator(state: number): (below: number) => number {
  let at = state
  return (below) => {
    at = (at + 0x6d2b79f5) | 0
    let mixed = Math.imul(at ^ (at >>> 15), 1 | at)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below)
  }
}

/** What waits as it should, for something that does not come here; what kills by rule; and what makes its caller another program. */
const unfit: readonly Op['op'][] = ['init', 'serve', 'waitId', 'seccomp', 'fork', 'pidfdSendSignal']

const valid: readonly Op[] = [
  ...opNames.filter((name) => !unfit.includes(name)).map(sampleOp),
  { op: 'getPid' },
  { op: 'mkdir', path: '/d', mode: 0o700 },
  { op: 'write', path: '/f', flags: O.O_CREAT | O.O_WRONLY, mode: 0o600, data: Buffer.alloc(300, 'x') },
  { op: 'readDir', path: '/' },
  { op: 'stat', path: '/f' },
  { op: 'open', path: '/', flags: O.O_PATH, out: 'made' },
  { op: 'sendFd', fd: 'given', name: 'back' },
  { op: 'exec', paths: ['/none', '/d/none'], argv: ['none', 'x'], env: ['A=b'] },
]

/** A sample names slots that an earlier op must have filled. */
function slots(): SlotTable {
  const table = new SlotTable()
  table.give(['given'])
  table.fill('made')
  return table
}

interface Case {
  readonly message: Buffer
  readonly fds: readonly number[]
}

/** Length prefixes, numbers of slots and counts are what a parser trusts wrongly: these values are tried most. */
const edges = [0, 1, 2, 3, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff]

function mutated(bytes: Buffer, random: (below: number) => number): Buffer {
  let result = Buffer.from(bytes)
  for (let count = 1 + random(4); count > 0; count -= 1) {
    const at = random(Math.max(1, result.length))
    switch (random(6)) {
      case 0:
        if (result.length > 0) result[at] = random(256)
        break
      case 1:
        if (result.length >= 4) result.writeUInt32LE(edges[random(edges.length)] ?? 0, Math.min(at & ~3, result.length - 4))
        break
      case 2:
        if (result.length >= 2) result.writeUInt16LE(random(90), Math.min(at & ~1, result.length - 2))
        break
      case 3:
        result = result.subarray(0, at)
        break
      case 4:
        result = Buffer.concat([result.subarray(0, at), Buffer.alloc(random(40), random(256)), result.subarray(at)])
        break
      default:
        result = Buffer.concat([result, result.subarray(at)]).subarray(0, 60_000)
    }
  }
  return result
}

function nextCase(id: number, random: (below: number) => number, given: number): Case {
  const ops = Array.from({ length: 1 + random(3) }, () => valid[random(valid.length)] ?? ({ op: 'getPid' } as const))
  const isProgram = random(3) > 0
  const program: Program = { clone: 0, prepared: random(2) === 0 ? [{ op: 'umask', mask: 0o22 }] : [], ops: ops.slice(0, 1) }
  // A program's own table has no slot `made` before an op fills it.
  const fitting: Program = { ...program, ops: [{ op: 'open', path: '/', flags: O.O_PATH, out: 'made' }, ...program.ops] }
  const payload = isProgram ? encodeProgram(fitting, ['given']) : encodeOps(ops, slots())
  const bytes = mutated(payload, random)
  const types = isProgram ? [requests.start, requests.start, requests.start, requests.spares] : [requests.run]
  const type = random(20) === 0 ? random(8) : (types[random(types.length)] ?? requests.run)
  const isLarge = random(12) === 0
  const options = { flags: random(8) === 0 ? requestFlags.keep : 0, count: type === requests.spares ? random(4) : 0 }
  const message = Buffer.from(encodeRequest(type, id, bytes, options, isLarge))
  // A length that is not the packet's ends the agent at once, so it is tried now and then only.
  if (random(25) === 0) message.writeUInt32LE(edges[random(edges.length)] ?? 0, 12)
  const large = isLarge && random(4) > 0 ? [native.memfd('fuzz', bytes.subarray(0, random(bytes.length + 1)), false)] : []
  return { message: random(200) === 0 ? message.subarray(0, random(headerSize)) : message, fds: [...large, given] }
}

/** Signals of a process that read or wrote where nothing is, or ran what is no code. */
const crashNames = ['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGABRT'] as const
const crashes: readonly number[] = crashNames.map((name) => constants.signals[name])

type Outcome = 'answers' | 'ended' | 'hangs' | 'crashes'

/** An agent that has nothing but an empty directory, and its socket without what usually speaks through it. */
class RawAgent {
  readonly channel: number
  readonly child: Child
  readonly #watcher
  #onReadable: () => void = () => undefined

  constructor(parent: Connection) {
    const [here, there] = native.channel()
    this.channel = here
    const ops: Op[] = [
      { op: 'mount', source: 'fuzz', target: '/tmp', type: 'tmpfs', data: 'size=16m' },
      { op: 'chroot', path: '/tmp' },
      { op: 'chdir', path: '/' },
      { op: 'serve', fd: 'channel' },
    ]
    const clone = CLONE.CLONE_NEWPID | CLONE.CLONE_NEWNS | CLONE.CLONE_NEWUTS | CLONE.CLONE_NEWIPC
    this.child = parent.start({ clone, ops }, { channel: there }, { onSent: () => closeFd(there) })
    this.child.started.catch(() => undefined)
    this.#watcher = native.watch(here, 1, () => this.#onReadable())
  }

  /** The next reply; null when the agent has ended, undefined when nothing comes. */
  async reply(patience: number): Promise<RawReply | null | undefined> {
    const end = performance.now() + patience
    for (;;) {
      const found = native.receive(this.channel)
      if (found !== undefined) return found
      const left = end - performance.now()
      if (left <= 0) return undefined
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#onReadable = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** Sends, then asks something simple: whether that was answered (its own replies go by), or the agent ended. */
  async survives({ message, fds }: Case): Promise<Outcome> {
    const pingId = 0xffff_fff0
    const ping = Buffer.from(encodeRequest(requests.run, pingId, encodeOps([{ op: 'getPid' }], new SlotTable()), {}, false))
    if (native.send(this.channel, message, fds) !== 0 || native.send(this.channel, ping, []) !== 0) return 'ended'
    for (;;) {
      const reply = await this.reply(3000)
      if (reply === undefined) return 'hangs'
      if (reply === null) return 'ended'
      for (const fd of reply[8] ?? []) closeFd(fd)
      // Its second field is the signal (native/protocol.h, struct exit_report).
      if (reply[0] === replies.exit && crashes.includes(reply[6]?.readInt32LE(4) ?? 0)) return 'crashes'
      if (reply[1] === pingId) return 'answers'
    }
  }

  async close(): Promise<ChildExit> {
    native.unwatch(this.#watcher)
    closeFd(this.channel)
    return this.child.ended
  }
}

test(`${cases} requests made by chance: the agent answers or ends each time, and no file descriptor is left here (seed ${seed})`, async () => {
  await using parent = await launchAgent({ clone: CLONE.CLONE_NEWUSER | CLONE.CLONE_NEWPID | CLONE.CLONE_NEWNS, ids: await idRange() })
  await parent.run([{ op: 'mount', target: '/', flags: MS.MS_REC | MS.MS_PRIVATE }])
  const random = generator(seed)
  const given = openSync('/dev/null', 'r+')
  const before = await quietFds()
  const outcomes = { answers: 0, ended: 0, hangs: 0, crashes: 0 }
  let agent = new RawAgent(parent)
  for (let index = 0; index < cases; index += 1) {
    const one = nextCase(index + 1, random, given)
    const outcome = await agent.survives(one)
    outcomes[outcome] += 1
    const shown = `case ${index} of seed ${seed}: ${one.message.toString('hex').slice(0, 600)}`
    assert.ok(outcome === 'answers' || outcome === 'ended', `${outcome}: ${shown}`)
    for (const fd of one.fds) if (fd !== given) closeFd(fd)
    if (outcome === 'ended' || index % 300 === 299) {
      const exit = await agent.close()
      assert.not(
        crashNames.some((name) => name === exit.signal),
        `${exit.signal}: ${shown}`,
      )
      agent = new RawAgent(parent)
    }
  }
  await agent.close()
  await assertNoMoreFds(before)
  closeSync(given)
  assert.ok(outcomes.answers > cases / 2, `the rest would test no parser: ${JSON.stringify(outcomes)}`)
  if (process.env.STRAKE_FUZZ_SEED) console.log(outcomes)
})

test('an agent that closed its own socket ends, rather than to look at it for ever', async () => {
  await using parent = await launchAgent({ clone: CLONE.CLONE_NEWUSER | CLONE.CLONE_NEWPID | CLONE.CLONE_NEWNS, ids: await idRange() })
  await parent.run([{ op: 'mount', target: '/', flags: MS.MS_REC | MS.MS_PRIVATE }])
  const agent = new RawAgent(parent)
  const message = Buffer.from(encodeRequest(requests.run, 1, encodeOps([{ op: 'closeRange', first: 0 }], new SlotTable()), {}, false))
  assert.is(await agent.survives({ message, fds: [] }), 'ended')
  const late = new Promise<'late'>((resolve) => setTimeout(resolve, 5000, 'late').unref())
  assert.is.not(await Promise.race([agent.close(), late]), 'late')
})

test.run()
