import { readSync } from 'node:fs'
import { binding, closeFd, type RawReply, type Watcher } from '../../native/binding.ts'
import { StrakeError } from '../errors/index.ts'
import {
  encodeOps,
  encodeProgram,
  errnoName,
  errnoNumbers,
  flatten,
  kernelRefused,
  type Op,
  opDefinitions,
  type Program,
  SlotTable,
} from '../sys/index.ts'
import type { Agent, Child, EncodedProgram, GivenFds, OpResult, Reply, StartOptions } from './agent.ts'
import { ChildState, lostExit, neverStarted, readExit } from './child.ts'
import { Outbox } from './outbox.ts'
import { encodeRequest, largestFdCount, largestInline, type RequestOptions, replies, requestFlags, requests } from './protocol.ts'

interface PendingRun {
  readonly ops: readonly Op[]
  readonly fds: Record<string, number>
  resolve(reply: Reply): void
  reject(error: unknown): void
}

function resultTypes(ops: readonly Op[]): ('u64' | 'bytes')[] {
  const types: ('u64' | 'bytes')[] = []
  for (const op of flatten(ops)) {
    const type = opDefinitions[op.op].result
    if (type) types.push(type)
  }
  return types
}

function decodeResults(ops: readonly Op[], bytes: Buffer | undefined): OpResult[] {
  const results: OpResult[] = []
  if (!bytes) return results
  let at = 0
  for (const type of resultTypes(ops)) {
    if (at >= bytes.length) break
    if (type === 'u64') {
      results.push(Number(bytes.readBigUInt64LE(at)))
      at += 8
    } else {
      const length = bytes.readUInt32LE(at)
      results.push(bytes.subarray(at + 4, at + 4 + length))
      at += 4 + length
    }
  }
  return results
}

function readWhole(fd: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    const count = readSync(fd, bytes, done, length - done, done)
    if (count === 0) break
    done += count
  }
  return bytes.subarray(0, done)
}

const readable = 1
const writable = 2
const killSignal = 9
/** Milliseconds that a child has to end after SIGKILL before its agent is continued. */
const killPatience = 1000

/** The owner's end of an agent's socket. It keeps the event loop alive only while something is awaited. */
export class Connection implements Agent {
  readonly #native = binding()
  readonly #channel: number
  readonly #watcher: Watcher
  readonly #runs = new Map<number, PendingRun>()
  readonly #children = new Map<number, ChildState>()
  /** Children that do not keep the event loop alive. */
  readonly #background = new Set<number>()
  /** Children that were sent SIGKILL. */
  readonly #killed = new Set<number>()
  #killTimer: NodeJS.Timeout | undefined
  readonly #outbox: Outbox
  readonly #slots = new SlotTable()
  #nextId = 1
  #isOpen = true
  #isHeld = true
  #extraHolds = 0
  #pid = 0
  #resolveHello!: (pid: number) => void
  #rejectHello!: (error: unknown) => void
  #resolveEnded!: () => void
  /** Resolves to the agent's pid once it answers. */
  readonly ready: Promise<number>
  readonly ended: Promise<void>

  constructor(channel: number) {
    this.#channel = channel
    this.ready = new Promise((resolve, reject) => {
      this.#resolveHello = resolve
      this.#rejectHello = reject
    })
    this.ready.catch(() => undefined)
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.#watcher = this.#native.watch(channel, readable, (events) => this.#onEvent(events))
    this.#outbox = new Outbox({
      send: (message, fds) => this.#native.send(channel, message, fds),
      watch: (wanted) => this.#native.rewatch(this.#watcher, wanted ? readable | writable : readable),
    })
  }

  get pid(): number {
    return this.#pid
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  run(ops: readonly Op[], fds: GivenFds = {}): Promise<Reply> {
    return this.#run(ops, fds, new SlotTable(), 0)
  }

  /** As `run`, but what the ops' `out` slots hold, and the fds given along, stay for later calls of this method. */
  runKeeping(ops: readonly Op[], fds: GivenFds = {}): Promise<Reply> {
    return this.#run(ops, fds, this.#slots, requestFlags.keep)
  }

  #run(ops: readonly Op[], fds: GivenFds, slots: SlotTable, flags: number): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const id = this.#newId()
      slots.give(Object.keys(fds))
      const payload = encodeOps(ops, slots)
      this.#runs.set(id, { ops, fds: {}, resolve, reject })
      this.#send(requests.run, id, payload, fds, { flags })
    })
  }

  start(program: Program | EncodedProgram, fds: GivenFds = {}, options: StartOptions = {}): Child {
    const id = this.#newId()
    const isEncoded = 'bytes' in program
    const payload = isEncoded ? program.bytes : encodeProgram(program, Object.keys(fds))
    const child = new ChildState(id, isEncoded ? () => program.program() : () => program, (signal) => this.#kill(id, signal))
    this.#children.set(id, child)
    if (options.isBackground) this.#background.add(id)
    const flags = options.runsInit ? requestFlags.init : 0
    this.#send(requests.start, id, payload, fds, { flags, fault: options.fault }, options.onSent)
    return child
  }

  /** Asks the agent to keep `count` children that have carried out `program`'s prepared ops already. */
  keepSpares(program: Program, count: number): void {
    this.#send(requests.spares, 0, encodeProgram({ ...program, ops: [] }, []), {}, { count })
  }

  /** Until the returned function is called, the connection keeps the event loop alive. */
  hold(): () => void {
    this.#extraHolds += 1
    this.#updateHold()
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#extraHolds -= 1
      this.#updateHold()
    }
  }

  async close(): Promise<void> {
    this.#shut(new StrakeError('zygote_lost', 'The agent was closed.'))
    return this.ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #newId(): number {
    this.#assertOpen()
    const id = this.#nextId
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1
    return id
  }

  #assertOpen(): void {
    if (!this.#isOpen) throw new StrakeError('zygote_lost', 'The agent has ended.')
  }

  #kill(id: number, signal: number): void {
    if (!this.#isOpen) return
    const payload = Buffer.alloc(4)
    payload.writeInt32LE(signal, 0)
    this.#send(requests.kill, id, payload, {}, {})
    if (signal !== killSignal) return
    this.#killed.add(id)
    this.#killTimer ??= setTimeout(() => this.#continue(), killPatience).unref()
  }

  /** Somebody may have stopped the agent (SIGSTOP): it would neither kill its children nor tell of their end, however long one waits. */
  #continue(): void {
    this.#killTimer = undefined
    if (!this.#isOpen || this.#pid <= 0) return
    for (const id of this.#killed) if (!this.#children.has(id)) this.#killed.delete(id)
    if (this.#killed.size === 0) return
    try {
      process.kill(this.#pid, 'SIGCONT')
    } catch {
      // It has ended, which its socket tells.
    }
    this.#killTimer = setTimeout(() => this.#continue(), killPatience).unref()
  }

  #send(type: number, id: number, payload: Uint8Array, given: GivenFds, options: RequestOptions, onSent?: () => void): void {
    const fds = Object.values(given)
    if (fds.length > largestFdCount) throw new StrakeError('limit_exceeded', `At most ${largestFdCount} fds can be given along.`)
    const isLarge = payload.length > largestInline
    const message = encodeRequest(type, id, payload, options, isLarge)
    let large = -1
    if (isLarge) {
      large = this.#native.memfd('strake-request', payload, false)
      if (large < 0) throw kernelRefused([], -1, -large)
      fds.unshift(large)
    }
    this.#updateHold()
    this.#outbox.add(message, fds, (errno) => {
      if (large >= 0) closeFd(large)
      onSent?.()
      if (errno !== 0) this.#unsent(type, id, errno)
      this.#updateHold()
    })
  }

  /** A request that could not be sent: an fd given along is none, or the socket has ended (its reader sees that, too, and ends all). */
  #unsent(type: number, id: number, errno: number): void {
    if (errno === errnoNumbers.EPIPE || errno === errnoNumbers.ECONNRESET) return
    if (type === requests.kill) {
      // The child would run on though it is to end: it ends with its agent.
      this.#shut(
        new StrakeError('zygote_lost', 'A signal could not be sent to a container, and all of them were ended.', {
          hint: 'The kernel had no memory for the message: see what takes it (dmesg, /proc/meminfo).',
          details: { errno: errnoName(errno) },
        }),
      )
      return
    }
    const run = this.#runs.get(id)
    this.#runs.delete(id)
    run?.reject(kernelRefused([], -1, errno))
    const child = this.#children.get(id)
    this.#children.delete(id)
    this.#background.delete(id)
    child?.fail(-1, errno)
    child?.end(neverStarted)
    this.#updateHold()
  }

  #onEvent(events: number): void {
    if (events & writable && !this.#outbox.isEmpty) this.#outbox.flush()
    while (this.#isOpen) {
      const reply = this.#native.receive(this.#channel)
      if (reply === undefined) break
      if (reply === null) {
        this.#shut(
          new StrakeError('zygote_lost', 'The process that holds the namespaces has ended unexpectedly.', {
            hint: 'Start again: the next start makes a new one.',
          }),
        )
        return
      }
      this.#onReply(reply)
      // With one thing awaited there is most often one message: to ask for a second costs a system call, and the loop asks anyway.
      if (this.#runs.size + this.#children.size - this.#background.size <= 1) break
    }
    this.#updateHold()
  }

  #onReply(reply: RawReply): void {
    const [type, id, flags, length, value, extra] = reply
    const fds = reply[8] ?? []
    let payload = reply[6]
    if (flags & requestFlags.large && fds[0] !== undefined) {
      payload = readWhole(fds[0], length)
      closeFd(fds[0])
    }
    const run = this.#runs.get(id)
    const child = this.#children.get(id)
    switch (type) {
      case replies.hello:
        this.#pid = reply[7] ?? 0
        this.#resolveHello(this.#pid)
        return
      case replies.done:
        this.#runs.delete(id)
        run?.resolve({ results: decodeResults(run.ops, payload), fds: run.fds })
        return
      case replies.failed:
        if (run) {
          this.#runs.delete(id)
          for (const fd of Object.values(run.fds)) closeFd(fd)
          run.reject(kernelRefused(run.ops, extra, value))
        }
        child?.fail(extra, value)
        return
      case replies.started:
        child?.start(value || (reply[7] ?? 0))
        return
      case replies.exit:
        this.#children.delete(id)
        this.#background.delete(id)
        child?.end(readExit(payload))
        return
      case replies.fd: {
        const name = payload?.toString() ?? ''
        const fd = fds[0]
        if (fd === undefined) return
        if (run) run.fds[name] = fd
        else if (child) child.fds[name] = fd
        else closeFd(fd)
        return
      }
      default:
        for (const fd of fds) closeFd(fd)
    }
  }

  #updateHold(): void {
    if (!this.#isOpen) return
    const holds =
      this.#runs.size > 0 || this.#children.size > this.#background.size || this.#extraHolds > 0 || !this.#outbox.isEmpty || this.#pid === 0
    if (holds === this.#isHeld) return
    this.#isHeld = holds
    this.#native.hold(this.#watcher, holds)
  }

  #shut(error: StrakeError): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#native.unwatch(this.#watcher)
    closeFd(this.#channel)
    this.#rejectHello(error)
    this.#outbox.close(errnoNumbers.EPIPE)
    clearTimeout(this.#killTimer)
    for (const run of this.#runs.values()) run.reject(error)
    this.#runs.clear()
    for (const child of this.#children.values()) child.end(lostExit)
    this.#children.clear()
    this.#background.clear()
    this.#resolveEnded()
  }
}
