import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { StrakeError } from '../../errors/index.ts'
import { failedWith, Store } from '../../store/index.ts'
import { Auth } from './auth.ts'
import { blobRoutes } from './blob-routes.ts'
import { Exchange } from './exchange.ts'
import { listRoutes } from './list-routes.ts'
import { manifestRoutes } from './manifest-routes.ts'
import { type RegistryOptions, type RegistrySettings, settingsFrom } from './options.ts'
import { refusalOf } from './refusal.ts'
import { Repositories } from './repositories.ts'
import { type Route, route } from './router.ts'
import { uploadRoutes } from './upload-routes.ts'
import { Uploads } from './uploads.ts'

/** A registry that is listening. `close()`, or the end of an `await using` block, ends it with its connections and unfinished uploads. */
export class RegistryServer {
  /** As in a reference: `127.0.0.1:40123`; of one that listens on every address, this machine's own. */
  readonly host: string
  /** The one that it listens on, also when 0 was asked for. */
  readonly port: number
  /** `http://127.0.0.1:40123`, or with https. */
  readonly url: string
  /** The store that it serves: an absolute path. */
  readonly root: string
  readonly #server: Server
  readonly #uploads: Uploads
  readonly #routes: readonly Route[]
  readonly #auth: Auth | undefined
  readonly #running = new Set<Promise<void>>()
  #closing: Promise<void> | undefined

  private constructor(server: Server, store: Store, settings: RegistrySettings) {
    this.#server = server
    this.port = portOf(server)
    const host = reachable(server, settings.host)
    this.host = `${host.includes(':') ? `[${host}]` : host}:${this.port}`
    this.url = `${settings.tls ? 'https' : 'http'}://${this.host}`
    this.root = store.root
    this.#auth = settings.auth && new Auth(settings.auth)
    this.#uploads = new Uploads(store, { count: settings.maxUploads, timeout: settings.uploadTimeout })
    const repositories = new Repositories(store)
    this.#routes = [
      ...listRoutes(repositories),
      ...uploadRoutes(repositories, this.#uploads, settings.maxBlobSize),
      ...blobRoutes(store, repositories),
      ...manifestRoutes(repositories),
    ]
    server.on('request', (request, response) => this.#take(request, response))
  }

  /**
   * Serves a store as a registry, as OCI's distribution-spec 1.1 has it. Rejects with `invalid_argument`, with `address_in_use` when something else
   * listens there, and with `store_invalid` when the store cannot be used.
   *
   * @example
   * await using r = await registry({ auth: { me: 'secret' } })
   * r.host // 127.0.0.1:40123
   */
  static async listen(options: RegistryOptions = {}): Promise<RegistryServer> {
    const settings = settingsFrom(options)
    const server = await makeServer(settings)
    const store = await Store.open(settings.root)
    await listen(server, settings)
    return new RegistryServer(server, store, settings)
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const work = this.#answer(new Exchange(request, response))
    this.#running.add(work)
    void work.finally(() => this.#running.delete(work))
  }

  async #answer(exchange: Exchange): Promise<void> {
    exchange.response.setHeader('Docker-Distribution-Api-Version', 'registry/2.0')
    exchange.response.setHeader('X-Content-Type-Options', 'nosniff')
    try {
      this.#auth?.check(exchange.header('authorization'))
      await route(this.#routes, exchange)
    } catch (error) {
      exchange.refuse(refusalOf(error))
    }
  }

  /** Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await Promise.all([closed, ...this.#running])
    await this.#uploads.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const users = this.#auth ? `, users: ${this.#auth.users.join(', ')}` : ''
    return `Registry(${this.url}${this.#closing ? ', closed' : ''}, store ${this.root}${users})`
  }
}

async function makeServer({ tls, idleTimeout }: RegistrySettings): Promise<Server> {
  // A blob may take longer than any one number of minutes: what counts is that something comes (`timeout`), and that a header does not take long.
  const times = { requestTimeout: 0, headersTimeout: Math.min(idleTimeout, 30_000), keepAliveTimeout: idleTimeout }
  const server = tls ? await makeSecureServer(tls, times) : (await import('node:http')).createServer(times)
  server.timeout = idleTimeout
  return server
}

async function makeSecureServer(tls: NonNullable<RegistrySettings['tls']>, times: object): Promise<Server> {
  const { createServer } = await import('node:https')
  const pem = (value: string | Uint8Array): string | Buffer => (typeof value === 'string' ? value : Buffer.from(value))
  const clients = tls.ca === undefined ? {} : { ca: pem(tls.ca), requestCert: true, rejectUnauthorized: true }
  try {
    // OpenSSL takes a key of another kind than the certificate's, and then no client can connect.
    if (!new X509Certificate(pem(tls.cert)).checkPrivateKey(createPrivateKey(pem(tls.key))))
      throw new Error('the key is of another certificate')
    return createServer({ ...times, cert: pem(tls.cert), key: pem(tls.key), ...clients })
  } catch (cause) {
    throw new StrakeError('invalid_argument', `tls cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, {
      hint: 'cert and key (and ca) are the PEM texts themselves, not paths, and the key belongs to the certificate',
      cause,
    })
  }
}

async function listen(server: Server, { port, host }: RegistrySettings): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(notListening(error, host, port)))
    server.listen(port, host, resolve)
  })
  server.removeAllListeners('error')
}

function notListening(cause: Error, host: string, port: number): StrakeError {
  const details = { host, port }
  if (failedWith(cause, 'EADDRINUSE')) {
    const hint = 'port: 0 takes one that is free; `ss -ltnp` tells who has this one'
    return new StrakeError('address_in_use', `something else listens on ${host}:${port}`, { hint, cause, details })
  }
  const hint = failedWith(cause, 'EACCES')
    ? 'ports below 1024 are for root: take another, or 0 for one that is free'
    : "host is an address of this machine's: 127.0.0.1, or 0.0.0.0 for all of them"
  return new StrakeError('invalid_argument', `cannot listen on ${host}:${port}: ${cause.message}`, { hint, cause, details })
}

/** `0.0.0.0` and `::`, however they were written, are where one listens; one goes to an address. */
function reachable(server: Server, host: string): string {
  const address = server.address()
  const listening = typeof address === 'object' && address !== null ? address.address : host
  if (listening === '::') return '::1'
  return listening === '0.0.0.0' || listening === '::ffff:0.0.0.0' ? '127.0.0.1' : host
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
