import type { BuildContext, PreparedStep } from './context.ts'
import { prepareCopy } from './copy-step.ts'
import type { Stage } from './stage.ts'
import type { AddStep } from './step.ts'

/** An add as a step with a layer. */
export async function prepareAdd(step: AddStep, stage: Stage, context: BuildContext): Promise<PreparedStep> {
  const { sources, checksum: _, keepArchives: __, ...settings } = step
  const paths = sources.map((source) => (source.kind === 'path' ? source.path : source.url))
  return await prepareCopy({ ...settings, kind: 'copy', source: { kind: 'context', paths } }, stage, context)
}
