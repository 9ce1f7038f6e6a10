import { StrakeError } from '../../errors/index.ts'

/** Who the registry is to clients. PEM texts or their bytes, not paths. */
export interface RegistryTls {
  readonly cert: string | Uint8Array
  readonly key: string | Uint8Array
  /** Given, every client needs a certificate that this authority signed. */
  readonly ca?: string | Uint8Array
}

export interface RegistryOptions {
  /** Default 0: one that is free, which `host` and `port` of the result tell. */
  readonly port?: number
  /** The address to listen on. Default 127.0.0.1: this machine only. */
  readonly host?: string
  /** The store to serve. Default: the current one (`$STRAKE_ROOT`), with the images that are in it. */
  readonly root?: string
  /** Passwords by user: all of them may do everything. Default: nobody is asked. */
  readonly auth?: Readonly<Record<string, string>>
  /** Serves HTTPS with this certificate. Default: HTTP. */
  readonly tls?: RegistryTls
  /** Bytes of a blob at most. Default 64 GiB. */
  readonly maxBlobSize?: number
  /** Uploads under way at most. Default 256. */
  readonly maxUploads?: number
  /** Milliseconds after which a connection ends over which nothing came or went. Default 60,000. */
  readonly idleTimeout?: number
  /** Milliseconds after which an upload is given up that nothing came for. Default 900,000. */
  readonly uploadTimeout?: number
}

/** The options, checked, with their defaults. */
export type RegistrySettings = Required<Omit<RegistryOptions, 'root' | 'auth' | 'tls'>> & {
  readonly root: string | undefined
  readonly auth: Readonly<Record<string, string>> | undefined
  readonly tls: RegistryTls | undefined
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): boolean => typeof value === 'string' && value !== ''
const isPem = (value: unknown): boolean => isText(value) || (value instanceof Uint8Array && value.length > 0)
const isCount = (value: unknown): boolean => typeof value === 'number' && Number.isSafeInteger(value) && value >= 1

const checks: { readonly [name in keyof RegistryOptions]-?: readonly [what: string, isRight: (value: unknown) => boolean] } = {
  port: ['a number from 0 to 65535', (value) => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535],
  host: ['an address or a host name', isText],
  root: ['the path of a store', isText],
  auth: [
    'an object of passwords by user, none of them empty and no user with a colon',
    (value) =>
      isRecord(value) &&
      Object.keys(value).length > 0 &&
      Object.entries(value).every(([user, password]) => user !== '' && !user.includes(':') && isText(password)),
  ],
  tls: [
    '{ cert, key } or { cert, key, ca }, each as PEM text or bytes',
    (value) => isRecord(value) && isPem(value.cert) && isPem(value.key) && (value.ca === undefined || isPem(value.ca)),
  ],
  maxBlobSize: ['a number of bytes', isCount],
  maxUploads: ['a number from 1', isCount],
  idleTimeout: ['a number of milliseconds', isTime],
  uploadTimeout: ['a number of milliseconds', isTime],
}

/** What setTimeout(3) of Node takes. */
function isTime(value: unknown): boolean {
  return isCount(value) && Number(value) < 2 ** 31
}

/** The options with their defaults. `invalid_argument` for one that is unknown or cannot be: a `password` that nobody reads would be a hole. */
export function settingsFrom(options: RegistryOptions): RegistrySettings {
  const given: unknown = options
  if (!isRecord(given)) throw new StrakeError('invalid_argument', 'the options of a registry must be an object')
  for (const [name, value] of Object.entries(given)) {
    const check = Object.entries(checks).find(([known]) => known === name)?.[1]
    if (check === undefined) {
      throw new StrakeError('invalid_argument', `a registry has no option ${JSON.stringify(name)}`, {
        hint: `there are ${Object.keys(checks).join(', ')}`,
      })
    }
    if (value !== undefined && !check[1](value)) throw new StrakeError('invalid_argument', `${name} must be ${check[0]}`)
  }
  const { port, host, root, auth, tls, maxBlobSize, maxUploads, idleTimeout, uploadTimeout } = options
  return {
    port: port ?? 0,
    host: host ?? '127.0.0.1',
    root,
    auth,
    tls,
    maxBlobSize: maxBlobSize ?? 64 * 1024 ** 3,
    maxUploads: maxUploads ?? 256,
    idleTimeout: idleTimeout ?? 60_000,
    uploadTimeout: uploadTimeout ?? 900_000,
  }
}
