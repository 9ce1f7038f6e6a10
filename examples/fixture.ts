// A service for tests that starts in a known state each time: built once, started, filled with its seed, snapshotted; every test gets
// a fresh copy of that snapshot in some tens of milliseconds. `examples/fixture.uvu.ts` uses it.
import { type Container, type Image, image } from 'strake'

// The service: a counter in a file, spoken to over a named pipe. Yours would be a database.
const service = `#!/bin/sh
set -e
test -e /data/count || echo 0 > /data/count
rm -f /run/requests
mkfifo /run/requests
echo ready
while read -r word reply < /run/requests; do
  case $word in
    add) echo $(($(cat /data/count) + 1)) > /data/count ;;
  esac
  cat /data/count > "$reply"
done
`

const client = `#!/bin/sh
reply=$(mktemp -u)
mkfifo "$reply"
echo "$1 $reply" > /run/requests
cat "$reply"
rm "$reply"
`

const described = image()
  .from('host')
  .copy({ 'bin/service': { content: service, mode: 0o755 }, 'bin/ask': { content: client, mode: 0o755 } }, '/')
  .run('mkdir -p /data /run')
  .cmd(['/bin/service'])

/** Resolves when the service says that it is ready. */
async function ready(container: Container): Promise<Container> {
  for await (const { text } of container.logs({ follow: true })) if (text === 'ready') return container
  throw new Error(`the service has ended: ${JSON.stringify(await container.wait())}`)
}

/** A copy of the service that one test has for itself. */
export class Counter implements AsyncDisposable {
  readonly #container: Container

  private constructor(container: Container) {
    this.#container = container
  }

  static async start(state: Image): Promise<Counter> {
    return new Counter(await ready(await state.start({ memory: '64m' })))
  }

  async ask(word: 'add' | 'show'): Promise<number> {
    const { stdout } = await this.#container.exec(['/bin/ask', word], { check: true, timeout: 5000 })
    return Number(stdout)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#container.remove()
  }
}

/** Builds the service (from the cache, after the first time), seeds it, and keeps what it is then as an image. */
export async function seeded(count: number): Promise<Image> {
  await using container = await ready(await described.start())
  for (let each = 0; each < count; each += 1) await container.exec(['/bin/ask', 'add'], { check: true })
  // The copies start the service anew on the data that it has now. What ran is not in a snapshot, files are: also the pipe, so that the
  // service removes an old one.
  await container.stop({ grace: 0 })
  return await container.snapshot()
}
