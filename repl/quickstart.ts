// What `npm start` runs where there is no terminal: an image out of this machine's own shell, a container from it, and what it is made
// of. With a terminal, the prompt follows.
import type * as Strake from '../lib/index.ts'
import { ownLibrary } from './library.ts'
import { showError } from './show.ts'
import { table } from './table.ts'

function layerTable(built: Strake.Image): string {
  const made = built.history.filter((entry) => entry.empty_layer !== true)
  const rows = built.layers.map((layer, index) => [
    layer.digest.replace(/^sha256:/, '').slice(0, 12),
    layer.size,
    (made[index]?.created_by ?? '').slice(0, 72),
  ])
  return table(['LAYER', 'BYTES', 'MADE BY'], rows)
}

async function tour({ image }: typeof Strake): Promise<void> {
  console.log("image().from('host')…build(): this machine's own shell and tools, and two layers on them")
  const built = await image()
    .from('host')
    .run('mkdir -p /tour && uname -sr > /tour/kernel')
    .copy({ 'tour/greeting': 'Hello from a container\n' }, '/')
    .cmd(['sleep', '60'])
    .build()
  console.log(`${layerTable(built)}\n`)

  await using container = await built.start()
  console.log(`Container ${container.name} runs. In it:`)
  const { stdout } = await container.exec(
    ['sh', '-c', 'cat /tour/greeting /tour/kernel && echo "uid $(id -u), pid $$, host $(hostname)"'],
    {
      check: true,
    },
  )
  console.log(stdout.replace(/^(?=.)/gm, '  '))
}

async function main(): Promise<void> {
  const { url } = ownLibrary()
  await tour((await import(url)) as typeof Strake)
  if (!process.stdin.isTTY || !process.stdout.isTTY) return
  const { startRepl } = await import('./server.ts')
  await startRepl()
  process.exit()
}

main().catch((error: unknown) => {
  process.stderr.write(`${showError(error, process.stderr.isTTY === true)}\n`)
  process.exitCode = 1
})
