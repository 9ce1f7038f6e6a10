import type { Exchange } from './exchange.ts'
import { Refusal } from './refusal.ts'

/** Answers a request; `parts` are what the pattern found in its path. */
export type Handler = (exchange: Exchange, ...parts: [string, string]) => Promise<void>

export interface Route {
  readonly pattern: RegExp
  readonly methods: Readonly<Partial<Record<'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', Handler>>>
}

/** Finds who answers a request. The first pattern that fits has it: `blobs/uploads/` goes before `blobs/`. */
export async function route(routes: readonly Route[], exchange: Exchange): Promise<void> {
  const { path } = exchange
  for (const { pattern, methods } of routes) {
    const match = pattern.exec(path)
    if (!match) continue
    const handler = Object.entries(methods).find(([method]) => method === exchange.method)?.[1]
    if (handler === undefined) {
      throw new Refusal(405, 'UNSUPPORTED', `${exchange.method} cannot be done here`, {
        headers: { Allow: Object.keys(methods).join(', ') },
      })
    }
    return await handler(exchange, match[1] ?? '', match[2] ?? '')
  }
  throw new Refusal(404, 'UNSUPPORTED', 'this is no endpoint of a registry')
}
