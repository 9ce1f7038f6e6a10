import { fit } from './text.ts'

/** Milliseconds between two frames. */
const frameTime = 100

/** Something that goes on, as lines that change. */
export interface View {
  lines(width: number): readonly string[]
}

/** What draws frames: each over the one before. */
export interface Drawer {
  (text: string): void
  clear(): void
  done(): void
  persist(text: string): void
}

/** Where it draws: stderr, as far as this room needs to know it. */
export interface Screen {
  readonly columns: number
  readonly rows: number
}

/** What is drawn on where a terminal does not say its size, as one of script(1) or of a CI does not: 0 by 0 it would say, and nothing fits in there. */
const standard = { columns: 80, rows: 24 }

/** A terminal as whoever draws on it sees it: always of some size. */
function sized(stream: NodeJS.WriteStream): NodeJS.WriteStream {
  return new Proxy(stream, {
    get: (_, name) => {
      if (name === 'columns' || name === 'rows') return stream[name] || standard[name]
      const value: unknown = Reflect.get(stream, name)
      return typeof value === 'function' ? value.bind(stream) : value
    },
  })
}

/**
 * The lower end of a terminal, in which lines change while what is above them stays. One for the process: views of several calls stand one below the
 * other. It holds no process alive, and shows the cursor again when the last view goes.
 */
export class Board {
  readonly #screen: Screen
  readonly #draw: Drawer
  readonly #views = new Set<View>()
  #timer: NodeJS.Timeout | undefined
  #isDrawn = false

  constructor(screen: Screen, draw: Drawer) {
    this.#screen = screen
    this.#draw = draw
  }

  /** Makes room for a view. It is not seen before `delay` milliseconds are over: what is done by then was not worth a look. */
  open(view: View, delay = 0): Pane {
    return new Pane(this, view, delay)
  }

  add(view: View): void {
    this.#views.add(view)
    this.#timer ??= setInterval(() => this.#render(), frameTime).unref()
    this.#render()
  }

  remove(view: View): void {
    this.#views.delete(view)
    if (this.#views.size > 0) {
      this.#render()
      return
    }
    clearInterval(this.#timer)
    this.#timer = undefined
    if (this.#isDrawn) this.#draw.clear()
    this.#isDrawn = false
    this.#draw.done()
  }

  /** Lines that stay, above those that change. */
  print(lines: readonly string[]): void {
    if (lines.length === 0 || process.env.STRAKE_PROGRESS === 'none') return
    this.#draw.persist(lines.map((line) => fit(line, this.#width)).join('\n'))
    if (this.#views.size > 0) this.#render()
  }

  get #width(): number {
    // The last column is left free: some terminals go to the next line when it is written.
    return Math.max(1, this.#screen.columns - 1)
  }

  #render(): void {
    // Somebody types there now: what was drawn goes, and comes again.
    if (process.env.STRAKE_PROGRESS === 'none') {
      if (this.#isDrawn) this.#draw.clear()
      this.#isDrawn = false
      return
    }
    this.#isDrawn = true
    const width = this.#width
    const lines = [...this.#views].flatMap((view) => view.lines(width)).map((line) => fit(line, width))
    const most = Math.max(1, this.#screen.rows - 1)
    this.#draw((lines.length > most ? lines.slice(-most) : lines).join('\n'))
  }
}

/** A view's place on the board, from its begin to its end. */
export class Pane {
  readonly #board: Board
  readonly #view: View
  readonly #timer: NodeJS.Timeout | undefined
  #held: string[] = []
  #isShown = false

  constructor(board: Board, view: View, delay: number) {
    this.#board = board
    this.#view = view
    if (delay > 0) this.#timer = setTimeout(() => this.#show(), delay).unref()
    else this.#show()
  }

  #show(): void {
    this.#isShown = true
    this.#board.print(this.#held)
    this.#held = []
    this.#board.add(this.#view)
  }

  /** Lines that stay, once the view is seen. */
  print(lines: readonly string[]): void {
    if (this.#isShown) this.#board.print(lines)
    else this.#held.push(...lines)
  }

  /** Takes the view away. Where it was seen, `lines` stay in its place. */
  close(lines: readonly string[] = []): void {
    clearTimeout(this.#timer)
    if (!this.#isShown) return
    this.#board.remove(this.#view)
    this.#board.print(lines)
  }
}

let board: Promise<Board> | undefined

/** The board on stderr; undefined where that is no terminal that lines can be drawn on: then nothing is to be written to it. */
export async function openBoard(): Promise<Board | undefined> {
  const stderr = sized(process.stderr)
  if (!stderr.isTTY || process.env.TERM === 'dumb' || process.env.STRAKE_PROGRESS === 'none') return undefined
  board ??= import('log-update').then(({ createLogUpdate }) => new Board(stderr, createLogUpdate(stderr)))
  return await board
}
