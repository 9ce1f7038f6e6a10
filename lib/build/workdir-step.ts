import { type BuildContext, defaultEpoch, type PreparedStep } from './context.ts'
import { upperLayer } from './file-layer.ts'
import { bytePath } from './files/entry.ts'
import { MemoryFiles } from './files/memory.ts'
import { isType, RootPaths } from './files/root-paths.ts'
import { Upper } from './files/upper.ts'
import { type Stage, snapshotsOf } from './stage.ts'

/** WORKDIR makes the directory where it is missing; where it is there already, the step changes nothing on disk. */
export function prepareWorkdir(path: string, stage: Stage, context: BuildContext): PreparedStep {
  return {
    async *keys() {
      yield { kind: 'workdir', path }
    },
    async carryOut() {
      const layer = await context.runtime.openLayer(snapshotsOf(stage), { signal: context.options.signal })
      try {
        const { canChown } = context.runtime
        const upper = new Upper(new RootPaths(await layer.agent()), { canChown, epoch: context.epoch ?? defaultEpoch })
        const place = await upper.paths.resolve(bytePath(path))
        if (isType(place.record, 'directory')) return undefined
        await upper.directory(bytePath(path))
        return await upperLayer(upper, new MemoryFiles([]), context)
      } finally {
        await layer.discard()
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}
