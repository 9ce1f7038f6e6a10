import { dirname, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { CompilerOptions, RequestKind, Requests } from './protocol.ts'

/** A request with its number, and the answer that bears the same number. */
export interface Asked<K extends RequestKind = RequestKind> {
  readonly number: number
  readonly kind: K
  readonly ask: Requests[K]['ask']
}

export type Answered = { readonly number: number; readonly answer: unknown } | { readonly number: number; readonly failure: string }

type Handlers = { readonly [K in RequestKind]: (ask: Requests[K]['ask']) => Requests[K]['answer'] }

/** Loads TypeScript and answers: this is the compiler's thread, so that typing goes on while it works. */
export async function serveCompiler(port: MessagePort, options: CompilerOptions): Promise<void> {
  const [{ Inputs }, { complete }, { compileScript }] = await Promise.all([
    import('./inputs.ts'),
    import('./complete.ts'),
    import('./scripts.ts'),
  ])
  const libraryFolder = dirname(options.library.types) + sep
  const own = fileURLToPath(options.library.url)
  const isLibrary = (path: string) => path.startsWith(libraryFolder) || path === own
  let session: InstanceType<typeof Inputs> | undefined
  const inputs = () => {
    session ??= new Inputs(options)
    return session
  }
  const handlers: Handlers = {
    input: ({ code }) => inputs().compile(code),
    commit: ({ id, names }) => {
      inputs().commit(id, names)
      return null
    },
    complete: ({ code }) => complete(inputs(), code),
    type: ({ code }) => inputs().type(code),
    script: (request) => compileScript(options, request, isLibrary),
    warmUp: () => {
      inputs().warmUp()
      return null
    },
  }
  const answer = <K extends RequestKind>({ kind, ask }: Asked<K>): Requests[K]['answer'] => handlers[kind](ask)
  port.on('message', (asked: Asked) => {
    try {
      port.postMessage({ number: asked.number, answer: answer(asked) } satisfies Answered)
    } catch (error) {
      port.postMessage({
        number: asked.number,
        failure: error instanceof Error ? (error.stack ?? error.message) : String(error),
      } satisfies Answered)
    }
  })
}

export interface CompilerThread {
  readonly strakeCompiler: CompilerOptions
}

function isCompilerThread(data: unknown): data is CompilerThread {
  return typeof data === 'object' && data !== null && 'strakeCompiler' in data
}

/** In a thread that was started as the compiler's: serves. In any other: does nothing. */
export async function serveIfCompiler(): Promise<void> {
  if (parentPort && isCompilerThread(workerData)) await serveCompiler(parentPort, workerData.strakeCompiler)
}
