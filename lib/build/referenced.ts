import { type ErrorCode, StrakeError } from '../errors/index.ts'
import { formatPlatform, type ImageData, Images, matchesPlatform, parseReference } from '../images/index.ts'
import { pullImage } from '../registry/index.ts'
import type { BuildContext } from './context.ts'

/** What a registry says, or does not, where an image is not to be had. Everything else (a wrong digest, a full disk) is told as it is. */
const refusals: readonly ErrorCode[] = ['registry_unauthorized', 'registry_denied', 'registry_not_found', 'registry_unavailable']

/**
 * The image that a reference stands for, as with FROM of a Dockerfile: that of the store, or else, as `pull` of the build's options allows, the registry's.
 * Rejects with `image_not_found` where it is in neither, and as `pullImage` does.
 */
export async function referencedImage(reference: string, context: BuildContext): Promise<ImageData> {
  const { pull = 'missing' } = context.options
  const images = new Images(context.runtime.store)
  const { found, other } = await localImage(images, reference, context)
  if (pull === 'never' && other) throw new StrakeError('image_not_found', other.message, { hint: other.hint, details: { reference } })
  if (pull === 'never') return found ?? (await images.get(reference, { platform: context.platform }))
  // What is named by its content alone is in no registry, or the same there.
  if (found && (pull === 'missing' || isContent(reference))) return found
  if (isContent(reference)) return await images.get(reference)
  context.onMade?.()
  try {
    return await pulled(reference, context)
  } catch (error) {
    if (pull === 'always' || !(error instanceof StrakeError) || !refusals.includes(error.code)) throw error
    const missing = other?.message ?? `there is no image ${JSON.stringify(reference)} in the store`
    throw new StrakeError('image_not_found', `${missing}, and it could not be pulled: ${error.message}`, {
      cause: error,
      hint: other?.hint ?? hintFor(reference, error),
      details: { ...error.details, reference, reason: error.code },
    })
  }
}

interface LocalImage {
  readonly found?: ImageData | undefined
  /** What is to be said of an image of that name which is not for the platform that the build asks for. */
  readonly other?: { readonly message: string; readonly hint: string | undefined }
}

async function localImage(images: Images, reference: string, { platform }: BuildContext): Promise<LocalImage> {
  try {
    const found = await images.find(reference, { platform })
    if (!found || platform === undefined || matchesPlatform(found.platform, platform)) return { found }
    const [has, wanted] = [formatPlatform(found.platform), formatPlatform(platform)]
    const message = `the image ${JSON.stringify(reference)} of the store is for ${has}, not for ${wanted}`
    return {
      other: { message, hint: 'leave out the platform to take the image that is there, or name one that a registry has for the other' },
    }
  } catch (error) {
    if (error instanceof StrakeError && error.code === 'image_not_found')
      return { other: { message: error.message.split('\n')[0] ?? '', hint: error.hint } }
    throw error
  }
}

function isContent(reference: string): boolean {
  return /^(sha(256|512):[0-9a-f]{8,128}|[0-9a-f]{64})$/.test(reference)
}

async function pulled(reference: string, context: BuildContext): Promise<ImageData> {
  const { runtime, onPull, onNotice } = context
  const { platform, signal } = context.options
  return await pullImage(
    runtime.store,
    reference,
    { platform, signal, onNotice, ...(onPull ? { onProgress: (transfer) => onPull(reference, transfer) } : {}) },
    (image, options) => runtime.unpack(image, options),
  )
}

function hintFor(reference: string, { code, hint }: StrakeError): string {
  const { domain } = parseReference(reference)
  if (code === 'registry_unavailable') return `${domain} cannot be reached: images.list() tells what there is without it`
  if (code === 'registry_unauthorized')
    return `check the name; if it is a private one: docker login ${domain}, or images.pull(reference, { auth }) before the build`
  return `images.list() tells what there is, from('host') needs no image at all; of ${domain}: ${hint ?? 'check the name'}`
}
