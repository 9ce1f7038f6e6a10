import { execFileSync } from 'node:child_process'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type Dockerd, startDockerd } from './dockerd.ts'

/** What docker says of an image. */
export interface DockerImage {
  readonly Config: Readonly<Record<string, unknown>>
  readonly Author: string
}

/** A dockerd's BuildKit, which its client knows no more without a plugin: contexts are fetched from a server of the test's own. */
export interface BuildKit extends AsyncDisposable {
  /** Builds a directory's Dockerfile; rejects with BuildKit's message. */
  build(directory: string, tag: string, options?: { args?: object | undefined; target?: string | undefined }): Promise<DockerImage>
  readonly docker: Dockerd['docker']
}

function call(socketPath: string, method: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('end', () => resolve(text)).on('error', reject)
    })
    sent.on('error', reject).end()
  })
}

/** By root only. */
export async function startBuildKit(directory: string): Promise<BuildKit> {
  const dockerd = await startDockerd(directory)
  const socket = join(directory, 'd.sock')
  const contexts: string[] = []
  const server = createServer(({ url = '' }, response) => {
    const context = contexts[Number(/\d+/.exec(url)?.[0])]
    response.end(context === undefined ? '' : execFileSync('tar', ['-C', context, '-cf', '-', '.']))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    docker: dockerd.docker,
    async build(context, tag, { args = {}, target = '' } = {}) {
      const number = contexts.push(context) - 1
      const query = new URLSearchParams({
        version: '2',
        remote: `http://127.0.0.1:${port}/${number}.tar`,
        t: tag,
        networkmode: 'none',
        buildid: `b${number}`,
        buildargs: JSON.stringify(args),
        target,
      })
      const log = await call(socket, 'POST', `/build?${query}`)
      if (!log.includes('Successfully tagged')) throw new Error(/"error":"((?:[^"\\]|\\.)*)"/.exec(log)?.[1] ?? log)
      return JSON.parse(await call(socket, 'GET', `/images/${tag}/json`))
    },
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve))
      await dockerd[Symbol.asyncDispose]()
    },
  }
}
