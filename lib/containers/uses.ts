import { blobKey, type Hold, type HoldKey, isDigest, mountedKey, type Store, snapshotKey } from '../store/index.ts'
import type { ImageSource } from './launch.ts'

/** Milliseconds that an image stays in use after its last container: the next one of it costs nothing then. */
const lingering = 10_000

interface Use {
  keys: readonly HoldKey[]
  /** What is said, too, once the layers are there. */
  readonly mounted: readonly HoldKey[]
  hasMounted: boolean
  /** Until other processes know of it. */
  announcing: Promise<void> | undefined
  containers: number
}

/** The images that containers of this thread run from. Other processes neither collect nor, unless forced, remove them (docs/decisions/0008). */
export class ImageUses {
  readonly #hold: Hold
  readonly #uses = new Map<string, Use>()
  readonly #byContainer = new Map<string, Use>()
  readonly #onForget: () => void
  #timer: NodeJS.Timeout | undefined

  /** `onForget` is called when what was seen of snapshots before may not be so any more. */
  constructor(store: Store, onForget: () => void) {
    this.#hold = store.holds.openFor()
    this.#onForget = onForget
  }

  /** A container is about to be made in this directory. A promise where something is to be waited for. */
  begin(directory: string, image: ImageSource): Promise<void> | undefined {
    const name = nameOf(image)
    const known = this.#uses.get(name)
    if (known) {
      known.containers += 1
      this.#byContainer.set(directory, known)
      return known.announcing
    }
    // What was seen unpacked before it was held may have been removed since.
    this.#onForget()
    const keys = keysOf(image)
    const mounted = image.layers.map(({ chainId }) => mountedKey(chainId))
    const use: Use = { keys, mounted, hasMounted: false, announcing: undefined, containers: 1 }
    use.announcing = this.#hold.keep(...keys).then(
      () => {
        use.announcing = undefined
      },
      (error: unknown) => {
        this.#uses.delete(name)
        throw error
      },
    )
    this.#uses.set(name, use)
    this.#byContainer.set(directory, use)
    return use.announcing
  }

  /** The layers of the container's image are unpacked: from now on one that is not there is missing. A promise where something is to be waited for. */
  mounted(directory: string): Promise<void> | undefined {
    const use = this.#byContainer.get(directory)
    if (!use || use.hasMounted) return undefined
    use.hasMounted = true
    use.keys = [...use.keys, ...use.mounted]
    return this.#hold.keep(...use.mounted)
  }

  /** The container of this directory is gone. */
  end(directory: string): void {
    const use = this.#byContainer.get(directory)
    if (!use) return
    this.#byContainer.delete(directory)
    use.containers -= 1
    if (use.containers > 0) return
    this.#timer ??= setTimeout(() => this.#trimLater(), lingering).unref()
  }

  /** Nobody waits for it. Where the store is gone or full, what is held too long does no harm. */
  #trimLater(): void {
    try {
      this.trim()
    } catch {}
  }

  /** Gives back at once what no container uses any more. */
  trim(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const idle = [...this.#uses].filter(([, { containers }]) => containers === 0)
    if (idle.length === 0) return
    for (const [name] of idle) this.#uses.delete(name)
    this.#onForget()
    this.#hold.replace([...this.#uses.values()].flatMap(({ keys }) => keys))
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#hold.release()
  }
}

function nameOf(image: ImageSource): string {
  return 'digest' in image && typeof image.digest === 'string' ? image.digest : (image.layers.at(-1)?.chainId ?? '')
}

/** Its blobs as well: a snapshot of a container is an image whose manifest names them. */
function keysOf(image: ImageSource): HoldKey[] {
  const keys: HoldKey[] = image.layers.flatMap(({ chainId, digest }) => [snapshotKey(chainId), blobKey(digest)])
  if ('digest' in image && isDigest(image.digest)) keys.push(`image:${image.digest}`, blobKey(image.digest))
  if ('id' in image && isDigest(image.id)) keys.push(blobKey(image.id))
  return keys
}
