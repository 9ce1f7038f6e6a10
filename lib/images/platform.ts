import { kindOfValue, StrakeError } from '../errors/index.ts'
import { type Checked, compact } from './check.ts'

/** What an image is made for, in Go's words (image-spec, image-index.md, "platform"). */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

const architectures: Readonly<Partial<Record<NodeJS.Architecture, string>>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ia32: '386',
  ppc64: 'ppc64le',
  s390x: 's390x',
  riscv64: 'riscv64',
  loong64: 'loong64',
  mips: 'mips',
  mipsel: 'mipsle',
}

/** That of containers on this machine. */
export const hostPlatform: Platform = { os: 'linux', architecture: architectures[process.arch] ?? process.arch }

export function platformFrom(value: Checked): Platform {
  return compact({
    os: value.field('os').optional((each) => each.string()) ?? '',
    architecture: value.field('architecture').optional((each) => each.string()) ?? '',
    variant: value.field('variant').optional((each) => each.string()),
  })
}

/** `linux/arm64/v8` → its parts. Rejects with `invalid_argument`. */
export function parsePlatform(text: string): Platform {
  const [os, architecture, variant, ...rest] = typeof text === 'string' ? text.split('/') : []
  if (!os || !architecture || rest.length > 0)
    throw new StrakeError('invalid_argument', `not a platform: ${typeof text === 'string' ? JSON.stringify(text) : kindOfValue(text)}`, {
      hint: 'os/architecture or os/architecture/variant, for example linux/arm64',
    })
  return variant ? { os, architecture, variant } : { os, architecture }
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter(Boolean).join('/')
}

/** Whether an image for `offered` is what was asked for; a variant matters only where both name one, and arm64's v8 is its plain form. */
export function matchesPlatform(offered: Platform, wanted: Platform): boolean {
  const variant = (platform: Platform): string | undefined =>
    platform.architecture === 'arm64' && platform.variant === 'v8' ? undefined : platform.variant
  if (offered.os !== wanted.os || offered.architecture !== wanted.architecture) return false
  return variant(wanted) === undefined || variant(offered) === undefined || variant(offered) === variant(wanted)
}
