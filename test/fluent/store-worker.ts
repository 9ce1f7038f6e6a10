import { createInterface } from 'node:readline/promises'
import { image, images, store } from '../../lib/index.ts'

// Waits for a line of what to do and with what. Does it to the store of $STRAKE_ROOT, and says what came of it: what a test kills somewhere on the way.
const lines = createInterface({ input: process.stdin })
const [what = '', path = ''] = (await lines.question('')).split(' ')
lines.close()
const work: Record<string, () => Promise<string>> = {
  load: async () => (await images.load(path)).map(({ digest }) => digest).join(' '),
  import: async () => (await images.import(path)).digest,
  build: async () =>
    (
      await image(path)
        .run(['/bin/sh', '-c', 'mkdir -p /made; i=0; while [ $i -lt 200 ]; do echo $i > /made/$i; i=$((i+1)); done'])
        .copy({ 'made/more': 'more' }, '/')
        .build({ tag: 'made:1' })
    ).config.Cmd?.join() ?? '',
  push: async () => (await (await images.get('base:1')).push(path)).digest,
  collect: async () => {
    for (const each of await images.list()) await images.remove(each.digest)
    const { images: removed } = await store.prune({ images: 'all', cache: true })
    return removed.length.toString()
  },
}
process.stdout.write('open\n')
process.stdout.write(`${await work[what]?.()}\n`)
