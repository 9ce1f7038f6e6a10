import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { configMediaType, indexMediaType, manifestMediaType, type Platform, parsePlatform } from '../../lib/images/index.ts'
import { type LayerEntry, packLayer } from '../../lib/layers/index.ts'
import { digestOf, hexOf, Store } from '../../lib/store/index.ts'
import { dir, file, tar } from '../layers/tar-maker.ts'
import { temporaryDirectory } from '../support/temporary.ts'

export interface MadeImage {
  readonly descriptor: { mediaType: string; digest: string; size: number; annotations?: Record<string, string>; platform?: Platform }
  readonly blobs: ReadonlyMap<string, Buffer>
}

const dockerNames = {
  [manifestMediaType]: 'application/vnd.docker.distribution.manifest.v2+json',
  [configMediaType]: 'application/vnd.docker.container.image.v1+json',
  'application/vnd.oci.image.layer.v1.tar': 'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.oci.image.layer.v1.tar+gzip': 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const

/** An image of layers (uncompressed tars), gzipped or not, with OCI's media types or Docker's, as its blobs by digest. */
export function makeImage(
  layers: readonly Buffer[],
  options: { gzip?: boolean; docker?: boolean; tag?: string; platform?: Platform; config?: object; manifest?: object } = {},
): MadeImage {
  const blobs = new Map<string, Buffer>()
  const named = (type: keyof typeof dockerNames): string => (options.docker ? dockerNames[type] : type)
  const add = (type: keyof typeof dockerNames, bytes: Buffer) => {
    const mediaType = named(type)
    blobs.set(digestOf(bytes), bytes)
    return { mediaType, digest: digestOf(bytes), size: bytes.length }
  }
  const stored = layers.map((each) =>
    add(`application/vnd.oci.image.layer.v1.tar${options.gzip ? '+gzip' : ''}`, options.gzip ? gzipSync(each) : each),
  )
  const config = add(
    configMediaType,
    Buffer.from(
      JSON.stringify({
        architecture: options.platform?.architecture ?? 'amd64',
        os: 'linux',
        config: { Env: ['A=b'], Cmd: ['/x'] },
        rootfs: { type: 'layers', diff_ids: layers.map((each) => digestOf(each)) },
        history: [],
        ...options.config,
      }),
    ),
  )
  const manifest = add(
    manifestMediaType,
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: named(manifestMediaType), config, layers: stored, ...options.manifest })),
  )
  return {
    blobs,
    descriptor: {
      ...manifest,
      ...(options.tag ? { annotations: { 'org.opencontainers.image.ref.name': options.tag } } : {}),
      ...(options.platform ? { platform: options.platform } : {}),
    },
  }
}

export function makeIndex(images: readonly MadeImage[], tag?: string): MadeImage {
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: indexMediaType, manifests: images.map(({ descriptor }) => descriptor) }),
  )
  const blobs = new Map(images.flatMap((image) => [...image.blobs]))
  blobs.set(digestOf(bytes), bytes)
  return {
    blobs,
    descriptor: {
      mediaType: indexMediaType,
      digest: digestOf(bytes),
      size: bytes.length,
      ...(tag ? { annotations: { 'org.opencontainers.image.ref.name': tag } } : {}),
    },
  }
}

/** Files of an OCI layout, by path. */
export function layoutFiles(images: readonly MadeImage[]): Map<string, Buffer> {
  const files = new Map<string, Buffer>([['oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')]])
  for (const { blobs } of images) for (const [digest, bytes] of blobs) files.set(`blobs/sha256/${hexOf(digest as never)}`, bytes)
  files.set('index.json', Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: images.map(({ descriptor }) => descriptor) })))
  return files
}

export function writeFiles(root: string, files: ReadonlyMap<string, Buffer>): string {
  for (const [path, bytes] of files) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), bytes)
  }
  return root
}

/** Files, and links, as a tar. */
export async function tarOf(files: ReadonlyMap<string, Buffer>, links: readonly LayerEntry[] = []): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of packLayer([...[...files].map(([path, content]): LayerEntry => ({ path, type: 'file', content })), ...links]))
    pieces.push(piece)
  return Buffer.concat(pieces)
}

export const layers = [tar(dir('etc'), file('etc/a', 'a')), tar(file('etc/b', 'b'))]
export const amd64 = makeImage(layers, { gzip: true, platform: parsePlatform('linux/amd64') })
export const arm64 = makeImage(layers, { platform: parsePlatform('linux/arm64') })

export interface Bench extends AsyncDisposable {
  readonly store: Store
  readonly path: string
}

export async function bench(): Promise<Bench> {
  const directory = temporaryDirectory('import')
  return {
    store: await Store.open(join(directory.path, 'store')),
    path: directory.path,
    [Symbol.asyncDispose]: async () => directory[Symbol.dispose](),
  }
}
