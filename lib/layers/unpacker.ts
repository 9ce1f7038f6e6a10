import type { StrakeError } from '../errors/index.ts'
import type { IdRange } from '../ids/index.ts'
import type { Digest } from '../store/index.ts'
import { flags, type Op } from '../sys/index.ts'
import type { Agent } from '../zygote/index.ts'
import { OpWriter } from './batch.ts'
import { copyUp } from './copy-up.ts'
import type { TarEntry } from './entry.ts'
import { FarTimes } from './far-times.ts'
import { type LayerLimits, layerInvalid, withDefaults } from './limits.ts'
import { isDirectory, isWhiteout, type LowerView, statThrough } from './lower.ts'
import { type ByteString, componentsOf, isPlainName, type Marker, markerOf, splitText } from './names.ts'
import { refusalOf } from './refusal.ts'
import type { Ring } from './ring.ts'
import { type Attributes, attributesOf, LayerTree, type Place } from './tree.ts'
import { printable, type Walker } from './walk.ts'
import { XattrWriter } from './xattr-writer.ts'
import { judgeXattr } from './xattrs.ts'

/**
 * Something of a layer that is not in the unpacked files as the layer says: a device, an xattr that is not for a container to set, a time that the file system does not
 * keep; or that is not what its media type says.
 */
export interface LayerNotice {
  /** In the layer; `/` for all of it. */
  readonly path: string
  /** What was made of it, and why, for people. */
  readonly message: string
}

export interface UnpackOptions {
  /** The layers below, for what the layer says about them; undefined for the bottom layer. */
  readonly lower?: LowerView | undefined
  /** false where only one id is mapped: every file stays its owner's. Default true. */
  readonly ownership?: boolean | undefined
  /** The ids that containers have, for what is said of a file of another one. */
  readonly ids?: Pick<IdRange, 'kind' | 'uidMap' | 'gidMap'> | undefined
  readonly limits?: Partial<LayerLimits> | undefined
  /** Refuses a content that has another digest, with `digest_mismatch`. */
  readonly diffId?: Digest | undefined
  /** What the layer is said to be; `onNotice` is told if it is something else. */
  readonly mediaType?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onNotice?: ((notice: LayerNotice) => void) | undefined
}

/** Of an owner: as it is (chown(2)). */
const unchanged = 0xffff_ffff
const { S_IFIFO, S_IFCHR, S_IFREG } = flags.S

/** A part of a file's content, and whether it is the first and the last one. */
interface Part {
  readonly at: number
  readonly bytes: Buffer | undefined
  readonly begins: boolean
  readonly ends: boolean
}

/** Makes of a layer's entries, in their order, what is to be done in the target, and sends it there. */
export class Unpacker {
  readonly #agent: Agent
  readonly #ring: Ring
  readonly #options: UnpackOptions
  readonly #limits: LayerLimits
  readonly #writer: OpWriter
  readonly #xattrs: XattrWriter
  readonly #tree: LayerTree
  readonly #farTimes = new FarTimes()
  readonly #ownership: boolean
  /** The directory that the latest entry went to, under the name that it came by. */
  #recent: { readonly text: ByteString; readonly place: Place; readonly changes: number } | undefined

  constructor(agent: Agent, ring: Ring, options: UnpackOptions) {
    this.#agent = agent
    this.#ring = ring
    this.#options = options
    this.#limits = withDefaults(options.limits)
    this.#ownership = options.ownership ?? true
    this.#writer = new OpWriter(agent)
    this.#xattrs = new XattrWriter(agent, this.#writer, (path, message) => this.#notice(path, message))
    this.#tree = new LayerTree(options.lower, this.#limits, (...ops) => this.#writer.push(...ops))
  }

  /** Resolves to the number of entries. Rejects as `unpackLayer` does. */
  async run(walker: Walker): Promise<number> {
    let count = 0
    try {
      await this.#writer.push({ op: 'umask', mask: 0 })
      await this.#tree.start()
      for (;;) {
        const entry = walker.nextAtHand() ?? (await walker.next())
        if (entry === undefined) break
        count += 1
        if (this.#xattrs.isFull) await this.#xattrs.flush()
        if (!this.#addAtHand(entry)) await this.#add(entry)
      }
      await this.#finish()
      await this.#xattrs.flush()
      await this.#writer.drain()
      await this.#farTimes.tell(this.#agent, (path, message) => this.#notice(path, message))
    } catch (error) {
      await this.#writer.settle()
      throw refusalOf(error, this.#options.ids)
    } finally {
      await walker.close()
    }
    return count
  }

  /** Sends what is to be done so far. */
  flush(): Promise<{ readonly carriedOut: Promise<unknown> }> {
    return this.#writer.flush()
  }

  /**
   * What most entries are: one more file, all of it in memory, beside the one before. Nothing is waited for then, which is a good part of the time
   * that a layer takes. False where it is anything else, and nothing has been done.
   */
  #addAtHand(entry: TarEntry): boolean {
    if (entry.type !== 'file' || this.#recent === undefined || this.#recent.changes !== this.#tree.changes) return false
    const { text, place } = this.#recent
    const { directory, name } = splitText(entry.path)
    if (directory !== text || !isPlainName(name, this.#limits) || place.node.children.has(name)) return false
    const path = this.#tree.pathOf(place, name)
    if (this.#xattrs.waitsFor(path)) return false
    const content = entry.whole()
    if (content === undefined) return false
    const attributes = this.#attributes(entry)
    this.#farTimes.add(path, attributes.mtime)
    this.#writer.add(this.#putOp(path, entry, attributes, { at: 0, bytes: content, begins: true, ends: true }))
    this.#xattrs.add(path, attributes.xattrs)
    return true
  }

  async #add(entry: TarEntry): Promise<void> {
    const components = componentsOf(entry.path, this.#limits)
    const marker = markerOf(components)
    await this.#xattrs.flush()
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
      this.#recent = { text: splitText(entry.path).directory, place: parent, changes: this.#tree.changes }
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
    await this.#complete(path, attributes, entry.type)
  }

  /** One op for each stretch of content that lies in a piece in the ring, and so one for most files. */
  async #putFile(path: Buffer, entry: TarEntry, attributes: Attributes): Promise<void> {
    this.#farTimes.add(path, attributes.mtime)
    let begins = true
    let end = 0
    for await (const { offset: at, bytes } of entry.pieces()) {
      end = at + bytes.length
      await this.#writer.push(this.#putOp(path, entry, attributes, { at, bytes, begins, ends: end === entry.size }))
      begins = false
    }
    if (begins || end < entry.size)
      await this.#writer.push(this.#putOp(path, entry, attributes, { at: end, bytes: undefined, begins, ends: true }))
    this.#xattrs.add(path, attributes.xattrs)
  }

  #putOp(path: Buffer, entry: TarEntry, attributes: Attributes, part: Part): Op {
    const { uid, gid, mtime } = attributes
    const { at, bytes, begins, ends } = part
    const offset = bytes === undefined || bytes.length === 0 ? 0 : this.#ring.offsetOf(bytes)
    if (offset === undefined) throw new Error('content of a file that is not in the ring')
    const isOthers = this.#ownership && (uid !== 0 || gid !== 0)
    return {
      op: 'put',
      path,
      begins: begins ? 1 : 0,
      ends: ends ? 1 : 0,
      at,
      offset,
      length: bytes?.length ?? 0,
      size: entry.size,
      mode: entry.mode,
      uid: isOthers ? uid : unchanged,
      gid: isOthers ? gid : unchanged,
      mtimeSec: mtime.sec,
      mtimeNsec: mtime.nsec,
    }
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
    await this.#complete(this.#tree.pathOf(parent, name), attributesOf(record), link === undefined ? 'file' : 'symlink')
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

  /**
   * Owner, then mode, then times, then xattrs: each may take back what comes before it, never what comes after; to set an xattr leaves the time as
   * it is.
   */
  async #complete(path: Buffer, attributes: Attributes, type: TarEntry['type']): Promise<void> {
    const { mode, uid, gid, mtime, xattrs } = attributes
    this.#farTimes.add(path, mtime)
    const ops: Op[] = []
    if (this.#ownership && (uid !== 0 || gid !== 0)) ops.push({ op: 'chown', path, uid, gid })
    // Made with its mode already; chown takes setuid and setgid off, and making it never puts them on.
    if (type === 'directory' || (type !== 'symlink' && mode > 0o777)) ops.push({ op: 'chmod', path, mode })
    const { sec, nsec } = mtime
    ops.push({ op: 'setTimes', path, atimeSec: sec, atimeNsec: nsec, mtimeSec: sec, mtimeNsec: nsec })
    await this.#writer.push(...ops)
    this.#xattrs.add(path, xattrs)
  }

  /** Directories last, inner ones before outer ones: whatever was made in them has changed their times. */
  async #finish(): Promise<void> {
    for (const { node, path } of this.#tree.directories()) {
      const bytes = Buffer.from(path || '/', 'latin1')
      if (node.opaque && path !== '')
        await this.#writer.push({ op: 'setXattr', path: bytes, name: 'user.overlay.opaque', value: Buffer.from('y') })
      await this.#complete(bytes, node.attributes, 'directory')
      if (this.#xattrs.isFull) await this.#xattrs.flush()
    }
  }

  #notice(path: Buffer, message: string): void {
    this.#options.onNotice?.({ path: path.toString(), message })
  }
}

function missingTarget(entry: TarEntry): StrakeError {
  return layerInvalid(`a hard link ${printable(entry.path)} to ${printable(entry.linkPath)}, which is not there or is a directory`)
}
