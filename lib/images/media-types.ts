import type { Compression } from '../layers/index.ts'

export const indexMediaType = 'application/vnd.oci.image.index.v1+json'
export const manifestMediaType = 'application/vnd.oci.image.manifest.v1+json'
export const configMediaType = 'application/vnd.oci.image.config.v1+json'

/** OCI's names and Docker's for the same things (image-spec, media-types.md, "Compatibility Matrix"). */
const kinds: Readonly<Record<string, 'index' | 'manifest' | 'config'>> = {
  [indexMediaType]: 'index',
  [manifestMediaType]: 'manifest',
  [configMediaType]: 'config',
  'application/vnd.docker.distribution.manifest.list.v2+json': 'index',
  'application/vnd.docker.distribution.manifest.v2+json': 'manifest',
  'application/vnd.docker.container.image.v1+json': 'config',
}

const layer =
  /^application\/vnd\.(?:oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+(?:gzip|zstd))?|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.gzip|\.zstd)?)$/

/** What a media type stands for; undefined for one that an image does not have. */
export function kindOf(mediaType: string): 'index' | 'manifest' | 'config' | 'layer' | undefined {
  return Object.hasOwn(kinds, mediaType) ? kinds[mediaType] : layer.test(mediaType) ? 'layer' : undefined
}

export function layerMediaTypeOf(compression: Compression): string {
  return `application/vnd.oci.image.layer.v1.tar${compression === 'none' ? '' : `+${compression}`}`
}
