/** The pieces that `read` gives, up to an empty one: the next is read while one is used. Nothing is being read any more when it has ended. */
export async function* readAhead(read: () => Promise<Buffer>): AsyncGenerator<Buffer, void, void> {
  let next = read()
  try {
    for (let piece = await next; piece.length > 0; piece = await next) {
      next = read()
      // Whoever waits for it learns of a failure; until then nobody may.
      next.catch(() => undefined)
      yield piece
    }
  } finally {
    await next.catch(() => undefined)
  }
}
