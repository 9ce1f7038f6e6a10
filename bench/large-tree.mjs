// A tree like that of an image with a language and its libraries: files of this machine's /usr, as many as make 366 MB.
import { execFileSync } from 'node:child_process'
import { lstatSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const bytes = 366e6

function* filesOf(directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) yield* filesOf(path)
    else if (entry.isFile()) yield path
  }
}

/** Writes the tar of that tree; resolves to how many files it has. */
export function largeTar(path) {
  const list = []
  let sum = 0
  for (const file of filesOf('/usr')) {
    if (sum >= bytes) break
    list.push(file.slice(1))
    sum += lstatSync(file).size
  }
  writeFileSync(`${path}.list`, list.join('\0'))
  execFileSync('tar', ['-C', '/', '--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--null', '-T', `${path}.list`, '-cf', path])
  return list.length
}
