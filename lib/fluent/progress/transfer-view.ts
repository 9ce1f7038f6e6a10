import type { TransferEvent } from '../../registry/index.ts'
import { bar, bytes, printable, seconds, type View } from '../../terminal/index.ts'

const mostLines = 8
const barWidth = 24
const words: Partial<Record<TransferEvent['phase'], string>> = {
  download: 'pulling',
  compress: 'packing',
  upload: 'pushing',
  unpack: 'unpacking',
}

/** The layers of a pull or push that are under way, a line each. */
export class TransferView implements View {
  readonly #verb: 'pull' | 'push'
  readonly #reference: string
  readonly #begin = performance.now()
  /** By digest, those that are over included. */
  readonly #layers = new Map<string, TransferEvent>()
  #moved = 0

  constructor(verb: 'pull' | 'push', reference: string) {
    this.#verb = verb
    this.#reference = printable(String(reference))
  }

  tell(event: TransferEvent): void {
    if (event.kind !== 'layer') return
    const before = this.#layers.get(event.digest)
    if (event.phase === 'done' && (before?.phase === 'download' || before?.phase === 'upload')) this.#moved += event.bytes
    // A layer that is packed goes on under the digest that it has got by that.
    if (event.phase === 'compress' && event.bytes === event.total) this.#layers.delete(event.digest)
    else this.#layers.set(event.digest, event)
  }

  lines(_width: number): string[] {
    const layers = [...this.#layers.values()]
    const going = layers.filter(({ phase }) => phase in words)
    const over = layers.length - going.length
    const head = `${this.#verb} ${this.#reference}  ${over} of ${layers.length} layers, ${seconds(performance.now() - this.#begin)}`
    const more = going.length > mostLines ? [`  … and ${going.length - mostLines} more`] : []
    return [head, ...going.slice(0, mostLines).map(lineOf), ...more]
  }

  /** What stays of it; nothing where nothing was to be done. */
  summary(): string[] {
    if (this.#layers.size === 0) return []
    const { size } = this.#layers
    const done = this.#verb === 'pull' ? 'pulled' : 'pushed'
    const what = `${size} layer${size === 1 ? '' : 's'}, ${bytes(this.#moved)} in ${seconds(performance.now() - this.#begin)}`
    return [`✔ ${done} ${this.#reference}  ${what}`]
  }
}

function lineOf({ digest, phase, bytes: moved, total }: TransferEvent): string {
  const name = printable(digest.slice(digest.indexOf(':') + 1)).slice(0, 12)
  const word = (words[phase] ?? phase).padEnd(9)
  if (phase === 'unpack') return `  ${name} ${word}`
  return `  ${name} ${word} ${bar(total ? moved / total : 0, barWidth)} ${bytes(moved)}${total === undefined ? '' : ` of ${bytes(total)}`}`
}
