import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { Images, loadImages, saveImage } from '../../lib/images/index.ts'
import { currentOwner, ownedName } from '../../lib/store/index.ts'
import { test } from '../support/uvu.ts'
import { type Bench, bench, layers, layoutFiles, makeImage, writeFiles } from './maker.ts'

const saver = fileURLToPath(new URL('saver.ts', import.meta.url))

async function stored(place: Bench): Promise<void> {
  await loadImages(
    place.store,
    writeFiles(join(place.path, 'source'), layoutFiles([makeImage(layers, { tag: 'docker.io/library/app:1' })])),
  )
}

for (const format of ['oci-archive', 'docker-archive', 'oci'] as const) {
  test(`what a killed save as ${format} left goes with the next one to the same path`, async () => {
    await using place = await bench()
    await stored(place)
    const path = join(place.path, 'saved')
    const hidden = (): string[] =>
      [place.path, ...(format === 'oci' ? [path] : [])].flatMap((each) => readdirSync(each)).filter((name) => name.startsWith('.'))
    const killed = spawnSync(process.execPath, ['--import', 'tsx', saver, place.store.root, 'app:1', path, format, 'killed'])
    assert.is(killed.signal, 'SIGKILL')
    assert.is(hidden().length, 1, 'it was killed while it wrote')
    await saveImage(place.store, await new Images(place.store).get('app:1'), path, { format })
    assert.equal(hidden(), [])
  })
}

test('nothing else goes: of the living, of other paths, of who has it locked, of another machine', async () => {
  await using place = await bench()
  await stored(place)
  const boot = currentOwner().split('-')[2]
  const dead = (more: string): string => `1-999999999999-${boot}-${more}`
  const foreign = (more: string): string => `1-1-ffffffff-${more}`
  const stays = [
    `.a.tar.${ownedName()}`,
    `.b.tar.${dead('1-x')}`,
    `.a.tar.more.${dead('1-x')}`,
    `.a.tar.${dead('1-x')}.mine`,
    `.a.tar.${dead('2-locked')}`,
    `.a.tar.${foreign('1-fresh')}`,
  ]
  const goes = [`.a.tar.${dead('3-y')}`, `.a.tar.${foreign('2-old')}`]
  for (const name of [...stays, ...goes]) writeFileSync(join(place.path, name), '')
  utimesSync(join(place.path, goes[1] as string), 1e9, 1e9)
  const holder = spawn('flock', [join(place.path, stays[4] as string), 'sh', '-c', 'echo locked; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  try {
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    await saveImage(place.store, await new Images(place.store).get('app:1'), join(place.path, 'a.tar'))
  } finally {
    process.kill(-(holder.pid as number), 'SIGKILL')
  }
  assert.equal(
    readdirSync(place.path).filter((name) => name.startsWith('.')),
    stays.sort(),
  )
})

test.run()
