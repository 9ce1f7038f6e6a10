import { randomBytes } from 'node:crypto'
import { currentOwner, type Store } from '../store/index.ts'

/** A container's directory in the store: its upper, its work directory. */
export interface ContainerDirectory {
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly name: string
  /** On the host. */
  readonly path: string
  /** As the zygote sees it. */
  readonly zygotePath: string
}

const idSize = 32
const idsAhead = 64
const shortLength = 12
const restLength = 24
let random = Buffer.alloc(0)

/**
 * 64 random hexadecimal digits, of which the first 12 are no decimal number: they are the host name, and one of digits alone is never looked up in
 * /etc/hosts, since gethostbyname(3) takes it for an address. The kernel is asked for many at a time.
 */
export function newId(): string {
  for (;;) {
    if (random.length < idSize) random = randomBytes(idSize * idsAhead)
    const id = random.toString('hex', 0, idSize)
    random = random.subarray(idSize)
    if (!/^\d+$/.test(id.slice(0, shortLength))) return id
  }
}

/** What is a container's own in the name of its directory: the digits by which people know it, and some more. */
export function partsOf({ id }: Pick<ContainerDirectory, 'id'>): { readonly short: string; readonly rest: string } {
  return { short: id.slice(0, shortLength), rest: id.slice(shortLength, shortLength + restLength) }
}

/** A directory for a new container, named so that everybody can tell whose it is (`ownerIn`). Nothing is made on disk. */
export function newDirectory(store: Pick<Store, 'path'>): ContainerDirectory {
  const id = newId()
  const { short, rest } = partsOf({ id })
  return directoryNamed(store, id, `${short}.${currentOwner()}-0-${rest}`)
}

export function directoryNamed(store: Pick<Store, 'path'>, id: string, name: string): ContainerDirectory {
  return { id, name, path: store.path('containers', name), zygotePath: `/store/containers/${name}` }
}
