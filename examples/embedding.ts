// A program that runs what it does not trust: an HTTP server that takes a shell script as the body of a POST and answers with what it
// printed. Every request has a container of its own, without a network, with a root that cannot be written and with bounds on
// memory, processes and time; it is gone when the answer is.
//
//   npx tsx examples/embedding.ts
//   curl --data 'id; echo $((6 * 7))' http://127.0.0.1:8000/
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { pathToFileURL } from 'node:url'
import { type Image, image, StrakeError } from 'strake'

const longestScript = 64 * 1024

/** The script of a request; undefined when it is longer than a script may be. */
async function readScript(request: IncomingMessage): Promise<string | undefined> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of request) {
    length += piece.length
    if (length > longestScript) return undefined
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString()
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`)
}

/** A server that runs scripts in containers of `sandbox`. */
export function scriptServer(sandbox: Image): Server {
  return createServer(async (request, response) => {
    // A client that goes away takes its container along.
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    try {
      if (request.method !== 'POST') return answer(response, 405, { error: 'POST a shell script' })
      const script = await readScript(request)
      if (script === undefined) return answer(response, 413, { error: `at most ${longestScript} bytes` })
      const result = await sandbox.exec(['sh', '-s'], {
        stdin: script,
        user: '65534:65534',
        network: 'none',
        readonly: true,
        memory: '64m',
        pids: 32,
        timeout: 2000,
        maxOutput: '1m',
        signal: gone.signal,
      })
      const { exitCode, signal, stdout, stderr, timedOut, oomKilled } = result
      answer(response, 200, { exitCode, signal, stdout, stderr, timedOut, oomKilled })
    } catch (error) {
      if (gone.signal.aborted) return
      if (error instanceof StrakeError && error.code === 'limit_exceeded') return answer(response, 413, { error: error.message })
      console.error(error)
      answer(response, 500, { error: 'the script could not be run' })
    }
  })
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const server = scriptServer(await image().from('host').build())
  server.listen(8000, '127.0.0.1', () => console.log('POST a shell script to http://127.0.0.1:8000/'))
}
