import { type CachedStep, cacheKey } from '../cache.ts'
import { type BuildContext, timeOf } from '../context.ts'
import { prepareCopy } from '../copy-step.ts'
import { escapePattern } from '../files/pattern.ts'
import type { Stage } from '../stage.ts'
import { copyStep } from '../steps/copy.ts'

/** An image without anything. */
function emptyStage(platform: Stage['platform']): Stage {
  return { settings: {}, layers: [], history: [], created: undefined, platform, hasOwnCmd: false }
}

/** A part of the build context, by its content; as a layer of its own once it is to be mounted, kept like any other of the build cache. */
export interface ContextLayer extends AsyncDisposable {
  content(): Promise<unknown>
  stage(): Promise<Stage>
}

export async function contextLayer(source: string, platform: Stage['platform'], context: BuildContext): Promise<ContextLayer> {
  const empty = emptyStage(platform)
  const prepared = await prepareCopy(copyStep(escapePattern(source), '/', { parents: true }), empty, context)
  const content = async (): Promise<Readonly<Record<string, unknown>>> => {
    let last: Readonly<Record<string, unknown>> = {}
    for await (const parts of prepared.keys()) last = parts
    return last
  }
  return {
    content,
    async stage() {
      const key = cacheKey({ ...(await content()), kind: 'context', canChown: context.runtime.canChown, epoch: context.epoch ?? null })
      const known = await context.cache.get(key)
      const record: CachedStep = known ?? { layer: await prepared.carryOut(() => {}), created: timeOf(context) }
      if (!known) await context.cache.set(key, record)
      return record.layer ? { ...empty, layers: [record.layer] } : empty
    },
    [Symbol.asyncDispose]: () => prepared[Symbol.asyncDispose](),
  }
}
