import { type BuildContext, defaultEpoch, type PreparedStep } from './context.ts'
import { upperLayer } from './file-layer.ts'
import { bytePath } from './files/entry.ts'
import { MemoryFiles } from './files/memory.ts'
import { lookUpOwner } from './files/owner.ts'
import { isType, RootPaths } from './files/root-paths.ts'
import { Upper } from './files/upper.ts'
import { type Stage, snapshotsOf } from './stage.ts'

/**
 * WORKDIR makes the directory, and those above it, where it is missing, as the user's that commands run as (BuildKit's `dispatchWorkdir`); where it
 * is there already, the step changes nothing on disk.
 */
export function prepareWorkdir(path: string, stage: Stage, context: BuildContext): PreparedStep {
  const { User: user = '' } = stage.settings
  return {
    async *keys() {
      yield { kind: 'workdir', path, ...(user === '' ? {} : { user }) }
    },
    async carryOut() {
      const layer = await context.runtime.openLayer(snapshotsOf(stage), { signal: context.options.signal, scaffold: false })
      try {
        const { canChown } = context.runtime
        const paths = new RootPaths(await layer.agent())
        const place = await paths.resolve(bytePath(path))
        if (isType(place.record, 'directory')) return undefined
        const owner = user === '' ? undefined : await lookUpOwner(paths, user)
        const upper = new Upper(paths, { owner, canChown, epoch: context.epoch ?? defaultEpoch })
        await upper.directory(bytePath(path))
        return await upperLayer(upper, new MemoryFiles([]), context)
      } finally {
        await layer.discard()
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}
