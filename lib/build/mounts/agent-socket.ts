import { closeSync, openSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'

/** A socket that leads to an SSH agent of this machine. */
export interface AgentSocket {
  /** Its name in the directory. */
  readonly name: string
  close(): Promise<void>
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((done, failed) => {
    server.once('error', failed)
    server.listen(path, () => {
      server.off('error', failed)
      done()
    })
  })
}

/** Joins two sockets; when one fails or ends, so does the other. */
function join(one: Socket, other: Socket): void {
  one.pipe(other).pipe(one)
  for (const [here, there] of [
    [one, other],
    [other, one],
  ] as const) {
    here.on('error', () => there.destroy())
    here.on('close', () => there.destroy())
  }
}

/**
 * A socket in `directory` whose connections go to the agent at `agent`, made by this process: the agent answers its own user only, and
 * in the container everybody has other ids.
 */
export async function openAgentSocket(agent: string, directory: string, name: string): Promise<AgentSocket> {
  const open = new Set<Socket>()
  const server = createServer((client) => {
    const there = createConnection(agent)
    for (const socket of [client, there]) {
      open.add(socket)
      socket.on('close', () => open.delete(socket))
    }
    join(client, there)
  })
  // By way of a descriptor: the path of a socket may have 107 bytes only, and that of a store may be longer (unix(7)).
  const descriptor = openSync(directory, 'r')
  try {
    await listen(server, `/proc/self/fd/${descriptor}/${name}`)
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
  return {
    name,
    close: async () => {
      for (const socket of open) socket.destroy()
      await new Promise((done) => server.close(done))
      closeSync(descriptor)
    },
  }
}
