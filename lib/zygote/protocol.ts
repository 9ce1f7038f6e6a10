/** native/protocol.h in TypeScript: the numbers of the messages between an owner and an agent. */
export const requests = { run: 1, start: 2, kill: 3, spares: 4 } as const
export const replies = { hello: 1, done: 2, failed: 3, started: 4, exit: 5, fd: 6 } as const
export const requestFlags = { large: 1, init: 2, keep: 4 } as const

export const headerSize = 32
/** A payload beyond this travels in a memfd. */
export const largestInline = 60_000
/** How many fds one message may carry. */
export const largestFdCount = 58

export interface RequestOptions {
  readonly flags?: number
  /** Makes the op of this index fail with this errno, for tests. */
  readonly fault?: { readonly index: number; readonly errno: number } | undefined
  readonly count?: number
}

const inlineMessage = Buffer.allocUnsafeSlow(headerSize + largestInline)

/** A request's header, with `payload` behind it unless it travels in a memfd. The bytes hold until the next request. */
export function encodeRequest(type: number, id: number, payload: Uint8Array, options: RequestOptions, isLarge: boolean): Buffer {
  const message = inlineMessage.subarray(0, headerSize + (isLarge ? 0 : payload.length))
  message.writeUInt32LE(type, 0)
  message.writeUInt32LE(id, 4)
  message.writeUInt32LE((options.flags ?? 0) | (isLarge ? requestFlags.large : 0), 8)
  message.writeUInt32LE(payload.length, 12)
  message.writeUInt32LE(options.fault?.index ?? 0, 16)
  message.writeUInt32LE(options.fault?.errno ?? 0, 20)
  message.writeUInt32LE(options.count ?? 0, 24)
  message.writeUInt32LE(0, 28)
  if (!isLarge) message.set(payload, headerSize)
  return message
}
