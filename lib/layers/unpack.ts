import { createHash } from 'node:crypto'
import { StrakeError } from '../errors/index.ts'
import { type BlobFile, type ByteStream, type Digest, toDigest } from '../store/index.ts'
import { errnoName, flags, type Op } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import { OpWriter } from './batch.ts'
import { copyUp } from './copy-up.ts'
import type { TarEntry } from './entry.ts'
import { fillerOf, fillerOfStream } from './fillers.ts'
import { type LayerLimits, layerInvalid, limitExceeded, withDefaults } from './limits.ts'
import { isDirectory, isWhiteout, type LowerView, statThrough } from './lower.ts'
import { type ByteString, componentsOf, type Marker, markerOf } from './names.ts'
import { Ring } from './ring.ts'
import { type Segment, segmentsOf } from './segments.ts'
import { type Attributes, LayerTree, type Place } from './tree.ts'
import { printable, walkTar } from './walk.ts'
import { judgeXattr, setXattrOp } from './xattrs.ts'

/** Something of the layer that was not made as the layer says. */
export interface Notice {
  readonly path: string
  readonly what: string
}

export interface UnpackOptions {
  /** The layers below, for what the layer says about them; undefined for the bottom layer. */
  readonly lower?: LowerView | undefined
  /** false where only one id is mapped: every file stays its owner's. Default true. */
  readonly ownership?: boolean | undefined
  readonly limits?: Partial<LayerLimits> | undefined
  /** Refuses a content that has another digest, with `digest_mismatch`. */
  readonly diffId?: Digest | undefined
  readonly signal?: AbortSignal | undefined
  readonly onNotice?: ((notice: Notice) => void) | undefined
}

export interface Unpacked {
  /** Of the uncompressed tar. */
  readonly diffId: Digest
  readonly entries: number
  /** Bytes of the uncompressed tar. */
  readonly bytes: number
}

/** Of an owner: as it is (chown(2)). */
const unchanged = 0xffff_ffff
const { S_IFIFO, S_IFCHR, S_IFREG } = flags.S

/**
 * Unpacks a layer (a tar, compressed or not) into the root directory of `agent`, which is confined to it and finds it empty, in
 * overlayfs' form: a whiteout becomes a character device 0:0, an opaque directory gets `user.overlay.opaque` (image-spec,
 * layer.md; Documentation/filesystems/overlayfs.rst).
 *
 * Rejects with `layer_invalid`, `path_escapes`, `limit_exceeded`, `digest_mismatch`, `aborted`, or `kernel_refused` when the machine is at
 * fault (a full disk, say). The directory is then to be thrown away.
 */
export async function unpackLayer(source: BlobFile | ByteStream, agent: Agent, options: UnpackOptions = {}): Promise<Unpacked> {
  const limits = withDefaults(options.limits)
  const ring = await Ring.shared(agent)
  try {
    const filler = 'more' in source ? await fillerOf(source, ring, limits) : fillerOfStream(source, ring, limits)
    const onAbort = (): void => filler.stop()
    options.signal?.addEventListener('abort', onAbort, { once: true })
    try {
      return await unpackFrom(segmentsOf(ring, filler), ring, agent, options)
    } catch (error) {
      throw options.signal?.aborted ? aborted(options.signal) : error
    } finally {
      options.signal?.removeEventListener('abort', onAbort)
    }
  } finally {
    ring.release()
  }
}

function aborted(signal: AbortSignal): StrakeError {
  return new StrakeError('aborted', 'unpacking was aborted', { cause: signal.reason })
}

async function unpackFrom(
  segments: AsyncGenerator<Segment, void, void>,
  ring: Ring,
  agent: Agent,
  options: UnpackOptions,
): Promise<Unpacked> {
  const hash = createHash('sha256')
  const unpacker = new Unpacker(agent, ring, options)
  let bytes = 0
  async function* walked(): AsyncGenerator<Buffer> {
    for await (const segment of segments) {
      if (options.signal?.aborted) throw aborted(options.signal)
      hash.update(segment.bytes)
      bytes += segment.bytes.length
      yield segment.bytes
      // Everything in it was walked, so every op that reads it is among those sent by now.
      segment.release((await unpacker.flush()).carriedOut)
    }
  }
  const entries = await unpacker.run(walkTar(walked(), options.limits))
  const diffId = toDigest('sha256', hash.digest('hex'))
  if (options.diffId !== undefined && diffId !== options.diffId) {
    throw new StrakeError('digest_mismatch', `the layer's content has diffID ${diffId}, not ${options.diffId}`, {
      details: { expected: options.diffId, actual: diffId },
    })
  }
  return { diffId, entries, bytes }
}

class Unpacker {
  readonly #agent: Agent
  readonly #ring: Ring
  readonly #options: UnpackOptions
  readonly #limits: LayerLimits
  readonly #writer: OpWriter
  readonly #tree: LayerTree
  readonly #ownership: boolean

  constructor(agent: Agent, ring: Ring, options: UnpackOptions) {
    this.#agent = agent
    this.#ring = ring
    this.#options = options
    this.#limits = withDefaults(options.limits)
    this.#ownership = options.ownership ?? true
    this.#writer = new OpWriter(agent)
    this.#tree = new LayerTree(options.lower, this.#limits, (...ops) => this.#writer.push(...ops))
  }

  async run(entries: AsyncIterable<TarEntry>): Promise<number> {
    let count = 0
    try {
      await this.#writer.push({ op: 'umask', mask: 0 })
      await this.#tree.start()
      for await (const entry of entries) {
        count += 1
        await this.#add(entry)
      }
      await this.#finish()
      await this.#writer.drain()
    } catch (error) {
      await this.#writer.settle()
      throw translate(error)
    }
    return count
  }

  /** Sends what is to be done so far. */
  flush(): Promise<{ readonly carriedOut: Promise<unknown> }> {
    return this.#writer.flush()
  }

  async #add(entry: TarEntry): Promise<void> {
    const components = componentsOf(entry.path, this.#limits)
    const marker = markerOf(components)
    if (marker) await this.#mark(marker, entry)
    else if (entry.type === 'directory') await this.#addDirectory(components, entry)
    else if (entry.type === 'link') await this.#addLink(components, entry)
    else await this.#addOther(components, entry)
  }

  async #mark(marker: Marker, entry: TarEntry): Promise<void> {
    if (marker.kind === 'ignored') return
    if (entry.type !== 'file' && entry.type !== 'link') throw layerInvalid(`a whiteout that is not a file: ${printable(entry.path)}`)
    if (this.#options.lower === undefined) return
    if (marker.kind === 'opaque') {
      const place = await this.#tree.enter(marker.directory)
      if (place.path === '' && place.node.lower) await this.#hideRoot(place, this.#options.lower)
      else await this.#tree.seal(place)
      return
    }
    await this.#hide(marker.hidden, this.#options.lower)
  }

  /** A whiteout speaks of the layers below only, wherever it stands in this one. */
  async #hide(hidden: readonly ByteString[], lower: LowerView): Promise<void> {
    const name = hidden.at(-1) ?? ''
    const found = await this.#tree.findBelow(hidden.slice(0, -1))
    // In a directory that has nothing below it a whiteout would show as a device.
    if (!found || (await lower.stat(`${found.path}/${name}`)) === undefined) return
    if (!this.#tree.hasMade(found) && (await this.#isReplaced(found.path))) return
    const place = await this.#tree.enter(hidden.slice(0, -1))
    const child = place.node.children.get(name)
    if (child?.kind === 'directory') {
      await this.#tree.seal({ node: child, path: `${place.path}/${name}` })
    } else if (!(child?.kind === 'symlink' && child.made) && child?.kind !== 'hidden') {
      await this.#writer.push({ op: 'mknod', path: this.#tree.pathOf(place, name), mode: S_IFCHR, tolerate: ['EEXIST'] })
      this.#tree.setWhiteout(place, name)
    }
  }

  /** Whether this layer has put something in the place of a directory of the layers below, or of one around it. umoci lists whiteouts in there as well. */
  async #isReplaced(path: ByteString): Promise<boolean> {
    await this.#writer.drain()
    for (let end = path.indexOf('/', 1); ; end = path.indexOf('/', end + 1)) {
      const here = await statThrough(this.#agent, end < 0 ? path : path.slice(0, end))
      if (here === undefined) return false
      if (!isDirectory(here)) return true
      if (end < 0) return false
    }
  }

  /** overlayfs takes no opaque mark at its root: every name of the layers below gets a whiteout instead. */
  async #hideRoot(root: Place, lower: LowerView): Promise<void> {
    for (const name of await lower.list('')) await this.#hide([name], lower)
    root.node.lower = false
  }

  async #addDirectory(components: readonly ByteString[], entry: TarEntry): Promise<void> {
    const name = components.at(-1)
    const attributes = this.#attributes(entry)
    if (name === undefined) {
      this.#tree.root.attributes = attributes
      return
    }
    const parent = await this.#tree.enter(components.slice(0, -1))
    const existing = parent.node.children.get(name)
    if (existing?.kind === 'directory') existing.attributes = attributes
    else await this.#tree.make(parent, name, existing, attributes)
  }

  async #addOther(components: readonly ByteString[], entry: TarEntry): Promise<void> {
    const name = components.at(-1)
    if (name === undefined) throw layerInvalid('the root of the layer is not a directory')
    const parent = await this.#tree.enter(components.slice(0, -1))
    const path = this.#tree.pathOf(parent, name)
    const attributes = this.#attributes(entry)
    if (entry.type === 'file') {
      await this.#tree.clear(parent, name, { isReplaced: true })
      await this.#putFile(path, entry, attributes)
      return
    }
    await this.#tree.clear(parent, name)
    if (entry.type === 'symlink') {
      await this.#writer.push({ op: 'symlink', target: entry.linkPath, path })
      this.#tree.setLink(parent, name, entry.linkPath.toString('latin1'))
    } else if (entry.type === 'fifo') {
      await this.#writer.push({ op: 'mknod', path, mode: S_IFIFO | (entry.mode & 0o777) })
    } else {
      // A user namespace makes no devices (user_namespaces(7)), and one of 0:0 would be a whiteout.
      await this.#writer.push({ op: 'mknod', path, mode: S_IFREG | (entry.mode & 0o777) })
      this.#notice(entry.path, `an empty file in place of the ${entry.type} device ${entry.major}:${entry.minor}`)
    }
    await this.#writer.push(...this.#finishing(path, attributes, entry.type))
  }

  /** One op for each stretch of content that lies in a piece in the ring, and so one for most files. */
  async #putFile(path: Buffer, entry: TarEntry, attributes: Attributes): Promise<void> {
    const { uid, gid, mtime, xattrs } = attributes
    const owner = this.#ownership && (uid !== 0 || gid !== 0) ? { uid, gid } : { uid: unchanged, gid: unchanged }
    const common = { op: 'put', path, size: entry.size, mode: entry.mode, ...owner, mtimeSec: mtime.sec, mtimeNsec: mtime.nsec } as const
    let begins = 1
    let end = 0
    for await (const { offset: at, bytes } of entry.pieces()) {
      const offset = this.#ring.offsetOf(bytes)
      if (offset === undefined) throw new Error('content of a file that is not in the ring')
      end = at + bytes.length
      await this.#writer.push({ ...common, begins, ends: end === entry.size ? 1 : 0, at, offset, length: bytes.length })
      begins = 0
    }
    if (begins === 1 || end < entry.size) await this.#writer.push({ ...common, begins, ends: 1, at: end, offset: 0, length: 0 })
    // Setting them leaves the file's time as it is.
    for (const [name, value] of xattrs) await this.#writer.push(setXattrOp(path, Buffer.from(name, 'latin1').toString(), value))
  }

  async #addLink(components: readonly ByteString[], entry: TarEntry): Promise<void> {
    const name = components.at(-1)
    const target = componentsOf(entry.linkPath, this.#limits)
    const targetName = target.at(-1)
    if (name === undefined || targetName === undefined) throw layerInvalid(`a hard link from or to the root: ${printable(entry.path)}`)
    const directory = await this.#tree.find(target.slice(0, -1))
    if (directory === undefined || directory.node.children.get(targetName)?.kind === 'directory') throw missingTarget(entry)
    const from = this.#tree.pathOf(directory, targetName)
    const parent = await this.#tree.enter(components.slice(0, -1))
    const path = this.#tree.pathOf(parent, name)
    if (from.equals(path)) return
    if (directory.node.lower) await this.#bringUp(target, directory, targetName, entry)
    const targetNode = directory.node.children.get(targetName)
    await this.#tree.clear(parent, name)
    await this.#writer.push({ op: 'link', from, path })
    if (targetNode?.kind === 'symlink') this.#tree.setLink(parent, name, targetNode.target)
  }

  /** A hard link to a file of a lower layer: that file becomes one of this layer, as overlayfs does it. */
  async #bringUp(target: readonly ByteString[], directory: Place, name: ByteString, entry: TarEntry): Promise<void> {
    await this.#writer.drain()
    const path = `${directory.path}/${name}`
    const here = await statThrough(this.#agent, path)
    if (here !== undefined && !isWhiteout(here)) return
    const lower = this.#options.lower
    const record = here === undefined ? await lower?.stat(path) : undefined
    if (lower === undefined || record === undefined) throw missingTarget(entry)
    const parent = await this.#tree.enter(target.slice(0, -1))
    const link = await copyUp(record, this.#tree.pathOf(parent, name), () => lower.open(path), this.#writer)
    if (link !== undefined) this.#tree.setLink(parent, name, link)
    await this.#writer.push(
      ...this.#finishing(this.#tree.pathOf(parent, name), attributesFrom(record), link === undefined ? 'file' : 'symlink'),
    )
  }

  #attributes(entry: TarEntry): Attributes {
    const xattrs = new Map<string, Buffer>()
    for (const [name, value] of entry.xattrs) {
      const outcome = judgeXattr(name, value)
      if ('keep' in outcome) xattrs.set(name, outcome.keep)
      else this.#notice(entry.path, `the xattr ${JSON.stringify(name)} was left out: ${outcome.drop}`)
    }
    return { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime, xattrs }
  }

  /** Owner, then mode, then xattrs, then times: each may take back what comes before it, never what comes after. */
  #finishing(path: Buffer, attributes: Attributes, type: TarEntry['type']): Op[] {
    const { mode, uid, gid, mtime, xattrs } = attributes
    const ops: Op[] = []
    if (this.#ownership && (uid !== 0 || gid !== 0)) ops.push({ op: 'chown', path, uid, gid })
    // Made with its mode already; chown takes setuid and setgid off, and making it never puts them on.
    if (type === 'directory' || (type !== 'symlink' && mode > 0o777)) ops.push({ op: 'chmod', path, mode })
    for (const [name, value] of xattrs) ops.push(setXattrOp(path, Buffer.from(name, 'latin1').toString(), value))
    const { sec, nsec } = mtime
    ops.push({ op: 'setTimes', path, atimeSec: sec, atimeNsec: nsec, mtimeSec: sec, mtimeNsec: nsec })
    return ops
  }

  /** Directories last, inner ones before outer ones: whatever was made in them has changed their times. */
  async #finish(): Promise<void> {
    for (const { node, path } of this.#tree.directories()) {
      const bytes = Buffer.from(path || '/', 'latin1')
      if (node.opaque && path !== '')
        await this.#writer.push({ op: 'setXattr', path: bytes, name: 'user.overlay.opaque', value: Buffer.from('y') })
      await this.#writer.push(...this.#finishing(bytes, node.attributes, 'directory'))
    }
  }

  #notice(path: Buffer, what: string): void {
    this.#options.onNotice?.({ path: path.toString(), what })
  }
}

function attributesFrom(record: {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtimeSec: number
  readonly mtimeNsec: number
  readonly xattrs: ReadonlyMap<string, Buffer>
}): Attributes {
  const xattrs = new Map([...record.xattrs].filter(([name, value]) => 'keep' in judgeXattr(name, value)))
  return { mode: record.mode & 0o7777, uid: record.uid, gid: record.gid, mtime: { sec: record.mtimeSec, nsec: record.mtimeNsec }, xattrs }
}

function missingTarget(entry: TarEntry): StrakeError {
  return layerInvalid(`a hard link ${printable(entry.path)} to ${printable(entry.linkPath)}, which is not there or is a directory`)
}

/** What the kernel refuses because of what the layer asks for is the layer's fault. */
function translate(error: unknown): unknown {
  if (!(error instanceof StrakeError) || error.code !== 'kernel_refused') return error
  const { errno, op } = error.details ?? {}
  const name = typeof errno === 'number' ? errnoName(errno) : String(errno)
  // Of a whole file chown is what refuses a value.
  if ((op === 'chown' || op === 'put') && name === 'EINVAL') {
    return new StrakeError('limit_exceeded', 'a file of the layer belongs to an id that is not mapped here', {
      cause: error,
      hint: 'give the user a wider range in /etc/subuid and /etc/subgid',
      details: { limit: 'ids' },
    })
  }
  if (['EEXIST', 'ENOTDIR', 'ENOENT', 'EISDIR', 'ELOOP', 'ENAMETOOLONG'].includes(name) || (op === 'link' && name === 'EPERM')) {
    return layerInvalid(`the layer's entries contradict each other: ${error.message.split('\n')[0] ?? ''}`, error)
  }
  if ((op === 'truncate' || op === 'put') && (name === 'EFBIG' || name === 'EINVAL'))
    return limitExceeded('fileBytes', 0, 'size of a file for this file system')
  return error
}
