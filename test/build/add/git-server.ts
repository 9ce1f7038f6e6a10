import { execFileSync, spawn } from 'node:child_process'
import { createReadStream, existsSync, mkdirSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

/** A repository of a test's own, and what Git's program for HTTP serves of it. */
export interface GitServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** Requests since it was last emptied. */
  readonly asked: string[]
  /** Serves files alone, as any web server does: no single commit can be asked for. */
  isDumb: boolean
  /** git(1) in a repository, which is made where there is none. Resolves to what it printed. */
  git(repository: string, ...args: string[]): string
}

const identity = [
  '-c',
  'user.name=A',
  '-c',
  'user.email=a@example.org',
  '-c',
  'init.defaultBranch=main',
  '-c',
  'protocol.file.allow=always',
]

function serve(directory: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: directory,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'],
      ...(request.headers['content-encoding'] ? { HTTP_CONTENT_ENCODING: request.headers['content-encoding'] } : {}),
      ...(request.headers['git-protocol'] ? { GIT_PROTOCOL: String(request.headers['git-protocol']) } : {}),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  request.pipe(child.stdin)
  const pieces: Buffer[] = []
  child.stdout.on('data', (piece: Buffer) => pieces.push(piece))
  child.on('close', () => {
    const all = Buffer.concat(pieces)
    const end = all.indexOf('\r\n\r\n')
    for (const line of all.subarray(0, end).toString().split('\r\n')) {
      const [, name = '', value = ''] = /^([^:]+): *(.*)$/.exec(line) ?? []
      if (name === 'Status') response.statusCode = Number(value.slice(0, 3))
      else if (name !== '') response.setHeader(name, value)
    }
    response.end(all.subarray(end + 4))
  })
}

function serveFile(path: string, response: ServerResponse): void {
  if (existsSync(path) && statSync(path).isFile()) createReadStream(path).pipe(response)
  else response.writeHead(404).end()
}

export async function gitServer(directory: string): Promise<GitServer> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    if (made.isDumb) serveFile(join(directory, pathname), response)
    else serve(directory, request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const made: GitServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    isDumb: false,
    git(repository, ...args) {
      const path = join(directory, `${repository}.work`)
      const env = {
        ...process.env,
        GIT_COMMITTER_DATE: '1700000000 +0000',
        GIT_AUTHOR_DATE: '1700000000 +0000',
        GIT_CONFIG_GLOBAL: '/dev/null',
      }
      const run = (cwd: string, words: readonly string[]): string =>
        execFileSync('git', [...identity, ...words], { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
      if (!existsSync(path)) {
        mkdirSync(path, { recursive: true })
        run(path, ['init', '--quiet', '.'])
        run(path, ['init', '--quiet', '--bare', `../${repository}.git`])
        run(path, ['remote', 'add', 'origin', `../${repository}.git`])
      }
      return run(path, args)
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return made
}
