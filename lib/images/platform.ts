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

/** What others call an architecture, Debian and uname(1) among them (containerd, platforms/database.go). */
const aliases: Readonly<Record<string, { readonly architecture: string; readonly variant?: string }>> = {
  x86_64: { architecture: 'amd64' },
  'x86-64': { architecture: 'amd64' },
  aarch64: { architecture: 'arm64' },
  i386: { architecture: '386' },
  armhf: { architecture: 'arm', variant: 'v7' },
  armel: { architecture: 'arm', variant: 'v6' },
}

/** What an architecture stands for that is named without a variant. */
const plainVariants: Readonly<Record<string, string>> = { amd64: 'v1', arm64: 'v8', arm: 'v7' }

function withOwnName({ os, architecture, variant }: Platform): Platform {
  const alias = Object.hasOwn(aliases, architecture) ? aliases[architecture] : undefined
  return compact({ os, architecture: alias?.architecture ?? architecture, variant: variant || alias?.variant })
}

/** `linux/arm64/v8` → its parts; `x86_64` and `aarch64` are amd64 and arm64. Rejects with `invalid_argument`. */
export function parsePlatform(text: string): Platform {
  const [os, architecture, variant, ...rest] = typeof text === 'string' ? text.toLowerCase().split('/') : []
  if (!os || !architecture || rest.length > 0)
    throw new StrakeError('invalid_argument', `not a platform: ${typeof text === 'string' ? JSON.stringify(text) : kindOfValue(text)}`, {
      hint: 'os/architecture or os/architecture/variant, for example linux/arm64',
    })
  return withOwnName(compact({ os, architecture, variant }))
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter(Boolean).join('/')
}

/** Whether an image for `offered` is what was asked for; a variant matters only where both name one that is not the plain one of amd64 or arm64. */
export function matchesPlatform(offered: Platform, wanted: Platform): boolean {
  const [one, other] = [withOwnName(offered), withOwnName(wanted)]
  if (one.os !== other.os || one.architecture !== other.architecture) return false
  const named = ({ architecture, variant }: Platform): string | undefined =>
    architecture !== 'arm' && variant === plainVariants[architecture] ? undefined : variant
  return named(other) === undefined || named(one) === undefined || named(one) === named(other)
}

/** Of those that match, the one whose variant is nearest to what was asked for: no variant means v7 of arm, v8 of arm64, v1 of amd64. */
export function nearestPlatform<T extends { readonly platform?: Platform | undefined }>(
  offered: readonly T[],
  wanted: Platform,
): T | undefined {
  const level = ({ architecture, variant }: Platform): number =>
    Number(/^v?([0-9]{1,4})/.exec(variant ?? plainVariants[architecture] ?? '')?.[1] ?? 0)
  const distance = ({ platform = wanted }: T): number => Math.abs(level(withOwnName(platform)) - level(withOwnName(wanted)))
  const matching = offered.filter(({ platform }) => platform !== undefined && matchesPlatform(platform, wanted))
  return matching.reduce<T | undefined>((best, each) => (best && distance(best) <= distance(each) ? best : each), undefined)
}
