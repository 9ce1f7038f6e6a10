// crun: an OCI bundle with the same namespaces, masks, capabilities and Docker's seccomp profile; the root is not an overlay.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleConfig } from '../bundle.mjs'
import { timeCommand } from '../run-command.mjs'

export default {
  name: 'crun run',
  command: 'crun',
  what: 'OCI bundle, same namespaces, seccomp and masks; no overlay',
  async prepare({ rootfs, scratch }) {
    const bundle = join(scratch, 'bundle')
    mkdirSync(bundle)
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(bundleConfig(rootfs)))
    const state = join(scratch, 'crun')
    let number = 0
    return () => {
      number += 1
      return timeCommand('crun', [
        '--root',
        state,
        '--cgroup-manager=disabled',
        'run',
        '--bundle',
        bundle,
        `bench-${process.pid}-${number}`,
      ])
    }
  },
}
