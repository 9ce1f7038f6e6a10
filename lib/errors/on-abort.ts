interface Waiting {
  readonly listeners: Set<() => void>
  readonly stop: () => void
}

const waiting = new WeakMap<AbortSignal, Waiting>()

function waitFor(signal: AbortSignal): Waiting {
  const listeners = new Set<() => void>()
  const tell = (): void => {
    waiting.delete(signal)
    for (const each of listeners) each()
  }
  const stop = (): void => {
    waiting.delete(signal)
    signal.removeEventListener('abort', tell)
  }
  const made = { listeners, stop }
  waiting.set(signal, made)
  signal.addEventListener('abort', tell, { once: true })
  return made
}

/**
 * Has `listener` called once, when `signal` is aborted from now on. The result takes that back. However many wait for a signal, it has one listener of ours:
 * Node takes eleven for a leak, and warns (events.defaultMaxListeners), where a caller has given one signal to many calls.
 */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (signal === undefined) return () => undefined
  const made = waiting.get(signal) ?? waitFor(signal)
  // One of its own, should the same function wait twice.
  const call = (): void => listener()
  made.listeners.add(call)
  return () => {
    if (made.listeners.delete(call) && made.listeners.size === 0) made.stop()
  }
}
