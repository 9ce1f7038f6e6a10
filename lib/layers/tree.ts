import type { Op } from '../sys/index.ts'
import type { Time } from './entry.ts'
import { type LayerLimits, layerInvalid, limitExceeded } from './limits.ts'
import { isDirectory, type LowerView } from './lower.ts'
import { type ByteString, fromByteString } from './names.ts'
import { printable } from './walk.ts'
import { judgeXattr } from './xattrs.ts'

/** What a directory gets when everything in it is written. */
export interface Attributes {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: Time
  readonly xattrs: ReadonlyMap<string, Buffer>
}

export interface DirectoryNode {
  readonly kind: 'directory'
  readonly children: Map<ByteString, Node>
  /** Whether what the layers below have at this path shows through. */
  lower: boolean
  opaque: boolean
  attributes: Attributes
}

/** A symlink, of this layer (`made`) or of one below. */
interface LinkNode {
  readonly kind: 'symlink'
  readonly target: ByteString
  readonly made: boolean
}

/** A name below which nothing of the lower layers shows: whited out (`whiteout`: there is such a file), or replaced. */
interface HiddenNode {
  readonly kind: 'hidden'
  readonly whiteout: boolean
}

type Node = DirectoryNode | LinkNode | HiddenNode

export interface Place {
  readonly node: DirectoryNode
  /** Without a slash at its end: `` for the root. */
  readonly path: ByteString
}

const linkLimit = 40
const symlinkType = 0o120000
/** Of a directory that nothing says anything about. Its time is fixed so that unpacking gives the same tree each time. */
const impliedAttributes: Attributes = { mode: 0o755, uid: 0, gid: 0, mtime: { sec: 0, nsec: 0 }, xattrs: new Map() }

/**
 * What a layer has made of its directories, symlinks and whiteouts so far. Files are not remembered, so the memory needed
 * does not grow with them. Paths are resolved here, link by link, against this layer and those below, as they would be in
 * the merged tree: what a path means must not depend on which of them happens to be on disk beside it.
 */
export class LayerTree {
  readonly root: DirectoryNode
  readonly #lower: LowerView | undefined
  readonly #limits: LayerLimits
  readonly #push: (...ops: readonly Op[]) => Promise<void>
  /** Grows with every change after which a path may lead somewhere else than before. */
  changes = 0
  #nodes = 0

  constructor(lower: LowerView | undefined, limits: LayerLimits, push: (...ops: readonly Op[]) => Promise<void>) {
    this.#lower = lower
    this.#limits = limits
    this.#push = push
    this.root = { kind: 'directory', children: new Map(), lower: lower !== undefined, opaque: false, attributes: impliedAttributes }
  }

  /** The root has what the layers below say, unless this one speaks of it. */
  async start(): Promise<void> {
    const record = await this.#lower?.stat('')
    if (record) this.root.attributes = attributesOf(record)
  }

  /** Resolves a directory, making what is missing. */
  async enter(components: readonly ByteString[]): Promise<Place> {
    const place = await this.#walk(components, true)
    if (place === undefined) throw new Error('a directory was not made')
    return place
  }

  /** Resolves a directory, making nothing; undefined when there is none. */
  async find(components: readonly ByteString[]): Promise<Place | undefined> {
    return await this.#walk(components, false)
  }

  /** Resolves a directory of the layers below, making nothing; undefined when there is none, or a link of this layer stands in the way. */
  async findBelow(components: readonly ByteString[]): Promise<Place | undefined> {
    const place = await this.#walk(components, false, false)
    return place?.node.lower ? place : undefined
  }

  /** Whether this layer has made the directory. */
  hasMade({ node, path }: Place): boolean {
    let here: Node | undefined = this.root
    for (const name of path.split('/').slice(1)) here = here?.kind === 'directory' ? here.children.get(name) : undefined
    return here === node
  }

  async #walk(components: readonly ByteString[], make: boolean, throughMade = true): Promise<Place | undefined> {
    const stack: Place[] = [{ node: this.root, path: '' }]
    const rest = [...components].reverse()
    for (let links = 0; rest.length > 0; ) {
      const name = rest.pop() ?? ''
      const here = stack.at(-1)
      if (here === undefined) throw new Error('the root was left')
      if (name === '' || name === '.') continue
      if (name === '..') {
        if (stack.length > 1) stack.pop()
        continue
      }
      const child = here.node.children.get(name) ?? (await this.#discover(here, name))
      if (child?.kind === 'symlink') {
        if (child.made && !throughMade) return undefined
        links += 1
        if (links > linkLimit) throw layerInvalid(`too many links on the way to ${printable(components.join('/'))}`)
        if (child.target.startsWith('/')) stack.length = 1
        rest.push(...child.target.split('/').reverse())
        continue
      }
      const node =
        child?.kind === 'directory' && here.node.children.get(name) === child ? child : make ? await this.make(here, name, child) : child
      if (node?.kind !== 'directory') return undefined
      stack.push({ node, path: `${here.path}/${name}` })
    }
    return stack.at(-1)
  }

  /** What the layers below have at a name that this one has not; a directory comes back as a node that is not in the tree yet. */
  async #discover(here: Place, name: ByteString): Promise<LinkNode | DirectoryNode | undefined> {
    if (!here.node.lower) return undefined
    const path = `${here.path}/${name}`
    const record = await this.#lower?.stat(path)
    if (record === undefined) return undefined
    if ((record.mode & 0o170000) === symlinkType) {
      const link: LinkNode = { kind: 'symlink', target: record.target.toString('latin1'), made: false }
      this.#set(here.node, name, link)
      return link
    }
    if (!isDirectory(record)) throw layerInvalid(`a path leads through ${printable(path)}, which is not a directory`)
    return { kind: 'directory', children: new Map(), lower: true, opaque: false, attributes: attributesOf(record) }
  }

  /** Makes a directory that the layer has not, in place of whatever is there. */
  async make(here: Place, name: ByteString, found: Node | undefined, attributes?: Attributes): Promise<DirectoryNode> {
    const path = this.pathOf(here, name)
    const replaces = found?.kind === 'hidden' || (found?.kind === 'symlink' && found.made)
    if (replaces || attributes) await this.#push({ op: 'unlink', path, tolerate: ['ENOENT'] })
    // 0700 until the end: its own mode may forbid writing into it, and setgid would be inherited.
    await this.#push({ op: 'mkdir', path, mode: 0o700 })
    const node: DirectoryNode = {
      kind: 'directory',
      children: new Map(),
      lower: here.node.lower && !replaces && (found?.kind === 'directory' || attributes !== undefined),
      opaque: here.node.lower && replaces,
      attributes: attributes ?? (found?.kind === 'directory' ? found.attributes : impliedAttributes),
    }
    this.#set(here.node, name, node)
    return node
  }

  /** Clears the way for something that is not a directory; `isReplaced`: what is made there takes the place of anything but a directory itself. */
  async clear(here: Place, name: ByteString, { isReplaced = false } = {}): Promise<void> {
    const path = this.pathOf(here, name)
    const existing = here.node.children.get(name)
    if (existing !== undefined) this.changes += 1
    if (existing?.kind === 'directory') {
      await this.#push({ op: 'removeTree', path })
      if (here.node.lower) here.node.children.set(name, { kind: 'hidden', whiteout: false })
      else here.node.children.delete(name)
      return
    }
    here.node.children.delete(name)
    if (!isReplaced) await this.#push({ op: 'unlink', path, tolerate: ['ENOENT'] })
  }

  setLink(here: Place, name: ByteString, target: ByteString): void {
    this.#set(here.node, name, { kind: 'symlink', target, made: true })
  }

  setWhiteout(here: Place, name: ByteString): void {
    this.#set(here.node, name, { kind: 'hidden', whiteout: true })
  }

  #set(parent: DirectoryNode, name: ByteString, node: Node): void {
    if (parent.children.has(name)) this.changes += 1
    else this.#nodes += 1
    if (this.#nodes > this.#limits.directories)
      throw limitExceeded('directories', this.#limits.directories, 'directories, links and whiteouts of the layer')
    parent.children.set(name, node)
  }

  /**
   * Nothing of the layers below shows in this directory any more. Whiteouts in it go: in a directory that is not merged
   * overlayfs would list them.
   */
  async seal(place: Place): Promise<void> {
    this.changes += 1
    if (place.node.lower) place.node.opaque = true
    const waiting: Place[] = [place]
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      next.node.lower = false
      for (const [name, child] of next.node.children) {
        if (child.kind === 'directory') waiting.push({ node: child, path: `${next.path}/${name}` })
        if (child.kind === 'hidden' && child.whiteout)
          await this.#push({ op: 'unlink', path: this.pathOf(next, name), tolerate: ['ENOENT'] })
        if (child.kind === 'hidden' || (child.kind === 'symlink' && !child.made)) next.node.children.delete(name)
      }
    }
  }

  pathOf(here: Place, name: ByteString): Buffer {
    const path = fromByteString(`${here.path}/${name}`)
    if (path.length > this.#limits.pathBytes) throw limitExceeded('pathBytes', this.#limits.pathBytes, 'length of a path')
    return path
  }

  /** Every directory that was made, children before parents. */
  *directories(): Generator<Place> {
    const stack: { place: Place; open: boolean }[] = [{ place: { node: this.root, path: '' }, open: false }]
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      if (next.open) {
        yield next.place
        continue
      }
      stack.push({ place: next.place, open: true })
      for (const [name, child] of next.place.node.children) {
        if (child.kind === 'directory') stack.push({ place: { node: child, path: `${next.place.path}/${name}` }, open: false })
      }
    }
  }
}

/** What a file that is made in place of one of the layers below has of it: not what that was to its overlay, which may be opaque. */
export function attributesOf(record: {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtimeSec: number
  readonly mtimeNsec: number
  readonly xattrs: ReadonlyMap<string, Buffer>
}): Attributes {
  return {
    mode: record.mode & 0o7777,
    uid: record.uid,
    gid: record.gid,
    mtime: { sec: record.mtimeSec, nsec: record.mtimeNsec },
    xattrs: new Map([...record.xattrs].filter(([name, value]) => 'keep' in judgeXattr(name, value))),
  }
}
