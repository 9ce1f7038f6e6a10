import type { LayerLimits, LayerNotice } from '../../layers/index.ts'

/** Who asks: a name and a password, or a token of the registry's as it is (`Authorization: Bearer`). */
export type RemoteAuth = { readonly username: string; readonly password: string } | { readonly token: string }

/** PEM, as text or bytes. */
export interface RemoteTls {
  /** Certificate authorities that are trusted beside the usual ones. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined
  /** The client's certificate, and its key. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: string | Uint8Array | undefined
}

/** Milliseconds; 0 and Infinity are none. */
export interface RemoteTimeouts {
  /** Until a connection is there, TLS included. Default 10,000. */
  readonly connect: number
  /** From the request to the last of the answer's headers. Default 60,000. */
  readonly headers: number
  /** In which a body must bring 1 KiB or end. Default 60,000. */
  readonly idle: number
}

export const defaultTimeouts: RemoteTimeouts = { connect: 10_000, headers: 60_000, idle: 60_000 }

/** How a registry is reached. All of it optional. */
export interface RemoteOptions {
  /** Default: what `docker login` and `podman login` have stored for that host. */
  readonly auth?: RemoteAuth | undefined
  /** Default: that of /etc/docker/certs.d/HOST and its likes (containers-certs.d(5)). */
  readonly tls?: RemoteTls | undefined
  /** Takes TLS certificates unverified, and plain HTTP where there is no TLS. Of loopback hosts plain HTTP is taken unless this is `false`. */
  readonly insecure?: boolean | undefined
  /** How long is waited for what, in milliseconds; 0 and Infinity are for ever. Default: 10 s for a connection, 60 s for headers and between bytes. */
  readonly timeouts?: Partial<RemoteTimeouts> | undefined
  /** How often a request is made again after 429, 5xx or a broken connection. Default 4. */
  readonly retries?: number | undefined
  /** Ends it; it rejects with `aborted`. */
  readonly signal?: AbortSignal | undefined
}

/**
 * What a pull or push is at, for each blob: `download`, `compress` and `upload` count bytes up to `total` (undefined while it is unknown); `present`, `mounted`
 * (taken over from another repository of that registry) and `done` end a blob; `unpack` and `unpacked` follow in a pull.
 */
export interface TransferEvent {
  readonly phase: 'download' | 'compress' | 'upload' | 'present' | 'mounted' | 'done' | 'unpack' | 'unpacked'
  readonly kind: 'manifest' | 'config' | 'layer'
  readonly digest: string
  readonly bytes: number
  readonly total: number | undefined
}

export interface TransferOptions extends RemoteOptions {
  /** Blobs at a time. Default 4. */
  readonly parallel?: number | undefined
  /** Told of each blob's and manifest's way. */
  readonly onProgress?: ((event: TransferEvent) => void) | undefined
}

/** When the registry is asked: `always` (by one HEAD where the image is there already), only when it is `missing` in the store, or `never`. */
export type PullPolicy = 'always' | 'missing' | 'never'

export interface PullOptions extends TransferOptions {
  /** Which image of a multi-platform one: `linux/arm64/v8`, or `all` of them. Default that of this machine. */
  readonly platform?: string | undefined
  /** Default `always`. */
  readonly policy?: PullPolicy | undefined
  /** Hosts (`mirror.example:5000`, or with a path in front of the repository) that are asked first, in this order. `auth` is never sent to them. */
  readonly mirrors?: readonly string[] | undefined
  /** How large what comes may be; beyond it: `limit_exceeded`. */
  readonly limits?: (Partial<LayerLimits> & { readonly blobBytes?: number }) | undefined
  /** Told of what is not unpacked as a layer has it: device nodes, xattrs that are not for a container to set. */
  readonly onNotice?: ((notice: LayerNotice) => void) | undefined
}

export interface PushOptions extends TransferOptions {
  /** What becomes of layers that the store has uncompressed. Default `gzip`; `zstd` needs Node 22.15 or later. */
  readonly compression?: 'gzip' | 'zstd' | 'none' | undefined
  /** `all`: every image of the index that this one was pulled or loaded with, and the index itself. Default: this image alone. */
  readonly platform?: 'all' | undefined
  /** Bytes of a request when a blob is sent in several. Default: one request for each blob. */
  readonly chunkSize?: number | undefined
}

export interface ReferrersOptions extends RemoteOptions {
  /** Only those of this type. */
  readonly artifactType?: string | undefined
}
