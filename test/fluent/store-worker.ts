import { image, images, store } from '../../lib/index.ts'

// Does one thing to the store of $STRAKE_ROOT and says what came of it: what a test kills somewhere on the way.
const [what = '', path = ''] = process.argv.slice(2)
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
  collect: async () => {
    for (const each of await images.list()) await images.remove(each.digest)
    const { images: removed } = await store.prune({ images: 'all', cache: true })
    return removed.length.toString()
  },
}
process.stdout.write('open\n')
process.stdout.write(`${await work[what]?.()}\n`)
