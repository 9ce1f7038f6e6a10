import { StrakeError } from '../errors/index.ts'
import type { Blobs } from './blobs.ts'
import type { Descriptor } from './refs.ts'

const ociIndex = 'application/vnd.oci.image.index.v1+json'
/** Docker's names, and OCI's for the same things (image-spec, media-types.md, "Compatibility Matrix"). */
const ociNames: Readonly<Record<string, string>> = {
  'application/vnd.docker.distribution.manifest.list.v2+json': ociIndex,
  'application/vnd.docker.distribution.manifest.v2+json': 'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.container.image.v1+json': 'application/vnd.oci.image.config.v1+json',
}
type Form = Descriptor | undefined

/** Of lists in lists. */
const deepest = 8

/** What OCI calls a layer that may have Docker's name: the same bytes, whoever names them. Any other media type stays as it is. */
export function ociLayerMediaType(mediaType: string): string {
  const docker = /^application\/vnd\.docker\.image\.rootfs\.(foreign\.)?diff\.tar(?:\.(gzip|zstd))?$/.exec(mediaType)
  if (docker === null) return mediaType
  const [, foreign, compression] = docker
  return `application/vnd.oci.image.layer.${foreign ? 'nondistributable.' : ''}v1.tar${compression ? `+${compression}` : ''}`
}

/** Whether it is, or lists what is, in Docker's format: an index of OCI may. */
export function mayHaveOciForm({ mediaType }: Pick<Descriptor, 'mediaType'>): boolean {
  return Object.hasOwn(ociNames, mediaType) || mediaType === ociIndex
}

/**
 * Stores the manifest or index that OCI would have of an image in Docker's format: other media types, and all digests of what has the content the same.
 * undefined where nothing of it is in that format, or it cannot be read.
 */
export async function putOciForm(blobs: Blobs, descriptor: Descriptor): Promise<Descriptor | undefined> {
  return await formOf(blobs, descriptor, 0, new Map())
}

/** @param known of what an index lists more than once */
async function formOf(blobs: Blobs, descriptor: Descriptor, depth: number, known: Map<string, Form>): Promise<Form> {
  if (!mayHaveOciForm(descriptor) || depth > deepest) return undefined
  const key = `${descriptor.mediaType} ${descriptor.digest}`
  if (!known.has(key)) known.set(key, await madeForm(blobs, descriptor, depth, known))
  return known.get(key)
}

async function madeForm(blobs: Blobs, descriptor: Descriptor, depth: number, known: Map<string, Form>): Promise<Form> {
  const value = await readObject(blobs, descriptor)
  if (value === undefined) return undefined
  const { config, layers, manifests, ...rest } = value
  const forms = areDescribed(manifests) ? await formsOf(blobs, manifests, depth, known) : undefined
  if (descriptor.mediaType === ociIndex && !forms?.some((each, at) => each !== (manifests as Descriptor[])[at])) return undefined
  const renamed = {
    ...rest,
    mediaType: ociName(descriptor.mediaType),
    ...(isDescribed(config) ? { config: { ...config, mediaType: ociName(config.mediaType) } } : {}),
    ...(areDescribed(layers) ? { layers: layers.map((each) => ({ ...each, mediaType: ociName(each.mediaType) })) } : {}),
    ...(forms ? { manifests: forms } : {}),
  }
  const text = textOf(renamed)
  if (text === undefined) return undefined
  const { digest, size } = await blobs.put(Buffer.from(text))
  return { mediaType: renamed.mediaType, digest, size }
}

/** undefined for what nests deeper than can be written: it was read all the same. */
function textOf(value: object): string | undefined {
  try {
    return JSON.stringify(value)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** What an index lists and the store does not have stays as it is. */
async function formsOf(blobs: Blobs, manifests: readonly Descriptor[], depth: number, known: Map<string, Form>): Promise<Descriptor[]> {
  const forms: Descriptor[] = []
  for (const each of manifests) {
    const form = await formOf(blobs, each, depth + 1, known)
    forms.push(form ? { ...each, ...form } : each)
  }
  return forms
}

async function readObject(blobs: Blobs, { digest }: Descriptor): Promise<Record<string, unknown> | undefined> {
  try {
    if (!(await blobs.has(digest))) return undefined
    const value: unknown = JSON.parse((await blobs.read(digest)).toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch (error) {
    if (error instanceof StrakeError || error instanceof SyntaxError) return undefined
    throw error
  }
}

function ociName(mediaType: string): string {
  return ociNames[mediaType] ?? ociLayerMediaType(mediaType)
}

function isDescribed(value: unknown): value is Descriptor {
  return typeof value === 'object' && value !== null && 'mediaType' in value && typeof value.mediaType === 'string'
}

function areDescribed(value: unknown): value is Descriptor[] {
  return Array.isArray(value) && value.every((each) => isDescribed(each))
}
