import { type BuildContext, defaultEpoch, type PreparedStep } from './context.ts'
import { bytePath } from './files/entry.ts'
import { isType } from './files/root-paths.ts'
import { RootWriter } from './files/writer.ts'
import { type Stage, snapshotsOf, stageLayer } from './stage.ts'

/** WORKDIR makes the directory where it is missing; where it is there already, the step changes nothing on disk. */
export function prepareWorkdir(path: string, stage: Stage, context: BuildContext): PreparedStep {
  return {
    async *keys() {
      yield { kind: 'workdir', path }
    },
    async carryOut() {
      const layer = await context.runtime.openLayer(snapshotsOf(stage), { signal: context.options.signal })
      try {
        const writer = new RootWriter(await layer.agent(), { canChown: context.runtime.canChown, epoch: context.epoch ?? defaultEpoch })
        const place = await writer.paths.resolve(bytePath(path))
        if (isType(place.record, 'directory')) return undefined
        await writer.directory(bytePath(path))
        await writer.finish()
        return stageLayer(await layer.commit())
      } finally {
        await layer.discard()
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}
