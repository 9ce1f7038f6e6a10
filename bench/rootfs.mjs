// The root file system that all trials run in: one static program.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** `programs`: { true, pause }, paths of static programs. */
export function makeRootfs(directory, programs) {
  for (const name of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp', 'root']) mkdirSync(join(directory, name), { recursive: true })
  copyFileSync(programs.true, join(directory, 'bin/true'))
  copyFileSync(programs.pause, join(directory, 'bin/pause'))
  writeFileSync(join(directory, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  for (const name of ['hosts', 'hostname', 'resolv.conf']) writeFileSync(join(directory, 'etc', name), '')
  return directory
}
