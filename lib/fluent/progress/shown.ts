import type { BuildOptions } from '../../build/index.ts'
import { isRecord } from '../../errors/index.ts'
import type { TransferOptions } from '../../registry/index.ts'
import { type Board, openBoard } from '../../terminal/index.ts'
import { BuildView } from './build-view.ts'
import { TransferView } from './transfer-view.ts'

/** Options whose progress can be drawn. */
export type Shown<Options extends { readonly onProgress?: unknown }> = Omit<Options, 'onProgress'> & {
  /** A function that is told of each event, or `terminal`: bars on stderr, if that is a terminal. Default: as `$STRAKE_PROGRESS` says; nothing. */
  readonly onProgress?: Options['onProgress'] | 'terminal' | undefined
}

interface Wish {
  readonly board: Board
  /** Milliseconds: what nobody asked for is not shown of what takes no time. */
  readonly delay: number
}

const patience = 400

/** Where progress is to be drawn, if the caller or `$STRAKE_PROGRESS` wants that and there is a terminal. */
async function wishOf(onProgress: unknown): Promise<Wish | undefined> {
  const isAsked = onProgress === 'terminal'
  if (!isAsked && !(onProgress === undefined && process.env.STRAKE_PROGRESS === 'terminal')) return undefined
  const board = await openBoard()
  return board && { board, delay: isAsked ? 0 : patience }
}

function progressOf(options: unknown): unknown {
  return isRecord(options) ? options.onProgress : undefined
}

/** The options without `terminal`, which the rooms below do not know. */
function plain<Options extends { readonly onProgress?: unknown }>(options: Shown<Options>): Options {
  if (progressOf(options) !== 'terminal') return options as Options
  const { onProgress: _, ...rest } = options
  return rest as unknown as Options
}

/** Does the work of a pull or push, with its progress on the terminal where that is wanted. */
export async function shownTransfer<Options extends TransferOptions, Result>(
  verb: 'pull' | 'push',
  reference: string,
  options: Shown<Options>,
  work: (options: Options) => Promise<Result>,
): Promise<Result> {
  const wish = await wishOf(progressOf(options))
  if (!wish) return await work(plain(options))
  const view = new TransferView(verb, reference)
  const pane = wish.board.open(view, wish.delay)
  try {
    const result = await work({ ...plain(options), onProgress: (event) => view.tell(event) })
    pane.close(view.summary())
    return result
  } catch (error) {
    pane.close()
    throw error
  }
}

/** As `shownTransfer`, for a build. */
export async function shownBuild<Result>(options: Shown<BuildOptions>, work: (options: BuildOptions) => Promise<Result>): Promise<Result> {
  const wish = await wishOf(progressOf(options))
  if (!wish) return await work(plain(options))
  const view = new BuildView((lines) => pane.print(lines))
  const pane = wish.board.open(view, wish.delay)
  try {
    const result = await work({ ...plain(options), onProgress: (event) => view.tell(event) })
    pane.close()
    return result
  } catch (error) {
    // Where nobody asked, the `strake` command is there, and prints the error with the end of the log.
    pane.close(view.failure(wish.delay === 0))
    throw error
  }
}
