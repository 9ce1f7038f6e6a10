import { readdirSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import * as assert from 'uvu/assert'
import { type RegistryOptions, RegistryServer } from '../../../lib/registry/index.ts'
import { type Digest, digestOf, Store } from '../../../lib/store/index.ts'
import { temporaryDirectory } from '../../support/temporary.ts'

export const manifestType = 'application/vnd.oci.image.manifest.v1+json'
export const indexType = 'application/vnd.oci.image.index.v1+json'
export const layerType = 'application/vnd.oci.image.layer.v1.tar'
export const configType = 'application/vnd.oci.image.config.v1+json'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  readonly text: string
  /** The code of the spec's error body. */
  readonly code: string | undefined
}

export interface AskOptions {
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array
}

export interface Manifest {
  readonly text: string
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
}

/** A registry on a store of its own, and a client that knows nothing but HTTP. */
export class Fixture implements AsyncDisposable {
  readonly registry: RegistryServer
  readonly store: Store
  readonly #directory: Disposable

  private constructor(registry: RegistryServer, store: Store, directory: Disposable) {
    this.registry = registry
    this.store = store
    this.#directory = directory
  }

  static async start(options: RegistryOptions = {}): Promise<Fixture> {
    const directory = temporaryDirectory('registry')
    try {
      const registry = await RegistryServer.listen({ root: directory.path, ...options })
      return new Fixture(registry, await Store.open(registry.root), directory)
    } catch (error) {
      directory[Symbol.dispose]()
      throw error
    }
  }

  async ask(method: string, path: string, options: AskOptions = {}): Promise<Answer> {
    const response = await fetch(path.startsWith('http') ? path : `${this.registry.url}${path}`, {
      method,
      headers: options.headers ?? {},
      body: options.body ?? null,
    })
    return answerOf(response.status, response.headers, Buffer.from(await response.arrayBuffer()))
  }

  /** The path as it stands: `fetch` would resolve `..` in it. */
  async askRaw(method: string, path: string, options: AskOptions = {}): Promise<Answer> {
    return await new Promise((resolve, reject) => {
      const { headers = {} } = options
      const request = plainRequest({ port: this.registry.port, method, path, headers, agent: false }, (response) => {
        const pieces: Buffer[] = []
        response.on('data', (piece) => pieces.push(piece))
        response.on('end', () =>
          resolve(answerOf(response.statusCode ?? 0, new Headers(response.headers as Record<string, string>), Buffer.concat(pieces))),
        )
        response.on('error', reject)
      })
      request.on('error', reject)
      request.end(options.body)
    })
  }

  /** Stores a blob in one request. */
  async pushBlob(repository: string, content: string | Uint8Array): Promise<Digest> {
    const digest = digestOf(content)
    const { status, text } = await this.ask('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body: content })
    assert.is(status, 201, text)
    return digest
  }

  /** Begins an upload; its path. */
  async begin(repository: string): Promise<string> {
    const { status, headers } = await this.ask('POST', `/v2/${repository}/blobs/uploads/`)
    assert.is(status, 202)
    return headers.get('location') ?? ''
  }

  async pushManifest(repository: string, manifest: Manifest, reference: string = manifest.digest): Promise<Answer> {
    return await this.ask('PUT', `/v2/${repository}/manifests/${reference}`, {
      headers: { 'content-type': manifest.mediaType },
      body: manifest.text,
    })
  }

  /** Stores an image of one layer under a tag. */
  async pushImage(repository: string, tag: string, layer = `layer of ${tag}`, more: Record<string, unknown> = {}): Promise<Manifest> {
    const config = `{"architecture":"amd64","os":"linux","of":${JSON.stringify(tag)}}`
    await this.pushBlob(repository, config)
    await this.pushBlob(repository, layer)
    const manifest = imageManifest(config, [layer], more)
    const { status, text } = await this.pushManifest(repository, manifest, tag)
    assert.is(status, 201, text)
    return manifest
  }

  /** What the store has: blobs by digest, names, files on their way. */
  async contents(): Promise<{ blobs: string[]; names: string[]; temporary: string[] }> {
    const blobs: string[] = []
    for await (const { digest } of this.store.blobs.list()) blobs.push(digest)
    return {
      blobs: blobs.sort(),
      names: (await this.store.refs.list()).map((ref) => ref.name ?? '').sort(),
      temporary: readdirSync(this.store.path('tmp')),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry.close()
    this.#directory[Symbol.dispose]()
  }
}

function answerOf(status: number, headers: Headers, bytes: Buffer): Answer {
  const text = bytes.toString()
  let code: string | undefined
  try {
    code = JSON.parse(text).errors?.[0]?.code
  } catch {
    code = undefined
  }
  return { status, headers, bytes, text, code }
}

export function descriptorOf(content: string, mediaType: string): { mediaType: string; digest: Digest; size: number } {
  return { mediaType, digest: digestOf(content), size: Buffer.byteLength(content) }
}

export function asManifest(value: Record<string, unknown>, mediaType = String(value.mediaType)): Manifest {
  const text = JSON.stringify(value)
  return { text, digest: digestOf(text), size: Buffer.byteLength(text), mediaType }
}

export function imageManifest(config: string, layers: readonly string[], more: Record<string, unknown> = {}): Manifest {
  return asManifest({
    schemaVersion: 2,
    mediaType: manifestType,
    config: descriptorOf(config, configType),
    layers: layers.map((layer) => descriptorOf(layer, layerType)),
    ...more,
  })
}

export function indexManifest(manifests: readonly Manifest[], more: Record<string, unknown> = {}): Manifest {
  return asManifest({
    schemaVersion: 2,
    mediaType: indexType,
    manifests: manifests.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    ...more,
  })
}
