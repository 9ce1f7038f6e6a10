import type { ExecutionConfig, ImageLayer } from '../images/index.ts'
import { digestOf } from '../store/index.ts'
import { applyStep, applyWorkdir, defaultEnvironment } from './settings.ts'
import type { Step } from './step.ts'

/** What is known of an image before it is built. */
export interface Outline {
  readonly config: ExecutionConfig
  readonly layers: readonly ImageLayer[]
}

const digests = new WeakMap<object, string>()

/** Other builds stand as their digests: builds that share others would be written out as often as there are ways through them. */
function withDigests(key: string, value: unknown): unknown {
  if (key !== 'steps' || typeof value !== 'object' || value === null) return value
  const digest = digests.get(value) ?? digestOf(Buffer.from(JSON.stringify(Object.values(value), withDigests)))
  digests.set(value, digest)
  return digest
}

/** A layer that is not there yet; its chainID is made from its place and step, so that the same description gives the same outline. */
function placeholder(index: number, step: Step): ImageLayer {
  const digest = digestOf(Buffer.from(JSON.stringify([index, step], withDigests)))
  return { digest, diffId: digest, chainId: digest, size: 0, mediaType: 'application/vnd.oci.image.layer.v1.tar' }
}

/** The settings that the steps give, and a placeholder for each layer. A pure function; of a base image only what is at hand is in it. */
export function outlineOf(steps: readonly Step[]): Outline {
  let config: ExecutionConfig = { Env: defaultEnvironment }
  let layers: readonly ImageLayer[] = []
  for (const [index, step] of steps.entries()) {
    if (step.kind === 'from') {
      const { base } = step
      const inner = base.kind === 'image' ? base.image : base.kind === 'steps' ? outlineOf(base.steps) : undefined
      if (inner) config = inner.config
      layers = inner ? inner.layers : base.kind === 'scratch' ? [] : [placeholder(index, step)]
    } else if (step.kind === 'run' || step.kind === 'copy' || step.kind === 'add') {
      layers = [...layers, placeholder(index, step)]
    } else if (step.kind === 'workdir') {
      config = applyWorkdir(config, step.path)
      layers = [...layers, placeholder(index, step)]
    } else if (step.kind === 'late') {
      if (/^(run|copy|add|workdir)\b/i.test(step.text)) layers = [...layers, placeholder(index, step)]
    } else if (step.kind !== 'arg' && step.kind !== 'maintainer') {
      config = applyStep(config, step)
    }
  }
  return { config, layers }
}
