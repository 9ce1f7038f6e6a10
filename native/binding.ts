import { closeSync, existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { StrakeError } from '../lib/errors/index.ts'

/** A file descriptor watched in the event loop; opaque. */
export interface Watcher {
  readonly brand: unique symbol
}

/** Memory that is shared with an agent; opaque. */
export interface RingHandle {
  readonly brand: unique symbol
}

/** A decompressor that keeps its place in a file; opaque. */
export interface Decoder {
  readonly brand: unique symbol
}

/** One message of an agent: type, id, flags, length, value, extra, payload, pid of the sender, fds. */
export type RawReply = readonly [
  number,
  number,
  number,
  number,
  number,
  number,
  Buffer | undefined,
  number | undefined,
  number[] | undefined,
]

/** The addon (native/addon.c). Where a call can fail it returns errno, or -errno in place of a file descriptor: it never throws for it. */
export interface NativeBinding {
  spawn(program: Uint8Array, fds: readonly number[]): [pidOrError: number, pidfdOrIndex: number]
  reap(pidfd: number): [code: number, signal: number] | undefined
  run(ops: Uint8Array, fds: readonly number[]): [errno: number, index: number, results: Buffer, fds: number[]]
  channel(): [here: number, there: number]
  /** `nonBlockingSide`: 0 the reading one, 1 the writing one. */
  pipe(nonBlockingSide: 0 | 1): [read: number, write: number]
  dup(fd: number): number
  memfd(name: string, bytes: Uint8Array, sealed: boolean): number
  read(fd: number, bytes: Uint8Array): number
  write(fd: number, bytes: Uint8Array): number
  flock(fd: number, operation: number): number
  send(channel: number, bytes: Uint8Array, fds: readonly number[]): number
  receive(channel: number): RawReply | undefined | null
  opTable(): [name: string, types: string][]
  /** events: 1 readable, 2 writable. */
  watch(fd: number, events: number, callback: (events: number) => void): Watcher
  rewatch(watcher: Watcher, events: number): void
  unwatch(watcher: Watcher): void
  hold(watcher: Watcher, holds: boolean): void
  /** The memfd, a handle of its memory, and the memory; or -errno. */
  ring(length: number): [memfd: number, handle: RingHandle, memory: ArrayBuffer] | number
  /** The memory is empty from here on. */
  releaseRing(handle: RingHandle, memory: ArrayBuffer): void
  /** kind: 0 plain, 1 gzip, 2 zstd; undefined where this Node has not what it takes. */
  decoder(kind: 0 | 1 | 2, window: number): Decoder | undefined
  /** Decompresses on libuv's pool, from where the last call ended up to the byte `end` of the file; state: native/decoder.c. */
  decode(
    decoder: Decoder,
    fd: number,
    end: number,
    ring: RingHandle,
    offset: number,
    length: number,
  ): Promise<[made: number, position: number, state: number]>
  /** The sha256 of all that it has made; to be asked for once. */
  digest(decoder: Decoder): Buffer
  /** syncfs(2) on libuv's pool; resolves to errno. The fd is to stay open until then. */
  syncFs(fd: number): Promise<number>
  /** Names and values by turns, as the calling user sees them; undefined for none; or -errno. A link at the end of the path is not followed. */
  xattrs(path: Uint8Array): (string | Buffer)[] | number | undefined
  /** All that is in an open directory, sorted; or -errno. The names' form, and the numbers': native/directory.h. */
  listDirectory(fd: number): [names: string, numbers: ArrayBuffer, capabilities: (number | Buffer)[]] | number
  /** Closes an fd that this module made, and no other: false for one that it did not. */
  close(fd: number): boolean
}

let loaded: NativeBinding | undefined

/** The directory of the package: this file's may be `native/` or, when bundled, `dist/`. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, 'binding.gyp')) && !existsSync(join(directory, 'prebuilds'))) {
    const parent = dirname(directory)
    if (parent === directory) return dirname(fileURLToPath(import.meta.url))
    directory = parent
  }
  return directory
}

/** Throws `unsupported_platform` where containers cannot be made; touches nothing. */
export function requireLinux(): void {
  if (process.platform === 'linux') return
  throw new StrakeError('unsupported_platform', `Containers need Linux; this is ${process.platform}.`, {
    hint: process.platform === 'win32' ? 'Run Node inside WSL 2.' : 'Run Node inside a Linux virtual machine, such as one of Lima.',
    details: { platform: process.platform, arch: process.arch },
  })
}

/** The command that makes the native part; it needs a C compiler, make and Python 3. */
export function buildCommand(): string {
  return `cd '${packageRoot()}' && npx -y node-gyp rebuild`
}

/** Why the addon did not load, as node-gyp-build or dlopen(3) has it. */
function loadFailure(cause: unknown): StrakeError {
  const { code, message } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : { code: undefined, message: String(cause) }
  const machine = `${process.platform}-${process.arch}`
  const unsupported = (words: string, hint: string): StrakeError =>
    new StrakeError('unsupported_platform', words, { hint, cause, details: { platform: process.platform, arch: process.arch } })
  if (code === 'ERR_DLOPEN_DISABLED') {
    return unsupported(
      'This Node may load no addon, and the native part of strake is one.',
      'Start Node without --no-addons; where its permission model is on (--permission, --experimental-permission), with --allow-addons.',
    )
  }
  if (code === 'ERR_DLOPEN_FAILED') {
    const words = message.split('\n')[0]?.slice(0, 300) ?? ''
    return unsupported(`The native part of strake cannot be loaded: ${words}.`, `Install the package anew, or build it: ${buildCommand()}`)
  }
  return unsupported(
    `The native part of strake is missing for ${machine}.`,
    `Build it: ${buildCommand()} (needs a C compiler, make and Python 3).`,
  )
}

/** The addon, loaded on first use. Throws `unsupported_platform`. */
export function binding(): NativeBinding {
  if (loaded) return loaded
  requireLinux()
  const require = createRequire(import.meta.url)
  const load = require('node-gyp-build') as (root: string) => NativeBinding
  try {
    loaded = load(packageRoot())
  } catch (cause) {
    throw loadFailure(cause)
  }
  return loaded
}

/**
 * Closes a file descriptor, whoever made it. Those that the addon made or received are to be closed by this alone: they are noted, and
 * what a JavaScript thread leaves open is closed at its end. Node notes its own in the same way.
 */
export function closeFd(fd: number): void {
  if (!binding().close(fd)) closeSync(fd)
}

/** Where the static helper is that becomes the zygote. Throws `unsupported_platform`. */
export function initPath(): string {
  const root = packageRoot()
  const candidates = [join(root, 'build', 'Release', 'strake-init'), join(root, 'prebuilds', `linux-${process.arch}`, 'strake-init')]
  const found = candidates.find((path) => existsSync(path))
  if (found) return found
  throw new StrakeError('unsupported_platform', 'strake-init is missing from the package.', {
    hint: `Build it: ${buildCommand()} (needs a C compiler, make and Python 3).`,
    details: { candidates },
  })
}

/** e_machine of elf(5). */
const elfMachines: Readonly<Record<string, number>> = { x64: 62, arm64: 183 }

/** Is this the whole of a program for such a processor? From its ELF header and the places of its headers, elf(5). */
export function isProgram(bytes: Buffer, arch: string): boolean {
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46 || bytes.readUInt16LE(18) !== elfMachines[arch]) return false
  const [programs, sections] = [Number(bytes.readBigUInt64LE(32)), Number(bytes.readBigUInt64LE(40))]
  const [programSize, programCount] = [bytes.readUInt16LE(54), bytes.readUInt16LE(56)]
  const [sectionSize, sectionCount] = [bytes.readUInt16LE(58), bytes.readUInt16LE(60)]
  return programCount > 0 && Math.max(programs + programSize * programCount, sections + sectionSize * sectionCount) <= bytes.length
}

/** Loads the addon and looks at the helper. Throws `unsupported_platform` when one of them is missing, damaged, or of another processor. */
export function checkNative(): void {
  binding()
  const path = initPath()
  if (isProgram(readFileSync(path), process.arch)) return
  throw new StrakeError('unsupported_platform', `${path} is damaged, or no program for ${process.arch}.`, {
    hint: `Install the package anew, or build it: ${buildCommand()}`,
    details: { path },
  })
}
