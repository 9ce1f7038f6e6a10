import type { ExecutionConfig, ImageLayer } from '../images/index.ts'
import { digestOf } from '../store/index.ts'
import { basesOf } from './graph.ts'
import { applyStep, applyWorkdir, defaultEnvironment } from './settings.ts'
import type { Base, Step } from './step.ts'

/** What is known of an image before it is built. */
export interface Outline {
  readonly config: ExecutionConfig
  readonly layers: readonly ImageLayer[]
}

const digests = new WeakMap<object, string>()

/** Other builds stand as their digests: builds that share others would be written out as often as there are ways through them. */
function withDigests(key: string, value: unknown): unknown {
  return key === 'steps' && typeof value === 'object' && value !== null ? digests.get(value) : value
}

function chainsIn(step: Step): (readonly Step[])[] {
  return basesOf(step).flatMap((base) => (base.kind === 'steps' && !digests.has(base.steps) ? [base.steps] : []))
}

/** Finds the digests of the builds that a step needs, first of those that they need themselves, however deep that goes. */
function digestNeeds(step: Step): void {
  const waiting = chainsIn(step)
  for (let steps = waiting.at(-1); steps; steps = waiting.at(-1)) {
    const missing = steps.flatMap(chainsIn)
    if (missing.length === 0) {
      digests.set(steps, digestOf(Buffer.from(JSON.stringify(steps, withDigests))))
      waiting.pop()
    }
    waiting.push(...missing)
  }
}

/** A layer that is not there yet; its chainID is made from its place and step, so that the same description gives the same outline. */
function placeholder(index: number, step: Step): ImageLayer {
  digestNeeds(step)
  const digest = digestOf(Buffer.from(JSON.stringify([index, step], withDigests)))
  return { digest, diffId: digest, chainId: digest, size: 0, mediaType: 'application/vnd.oci.image.layer.v1.tar' }
}

/** The settings that the steps give, and a placeholder for each layer. A pure function; of a base image only what is at hand is in it. */
export function outlineOf(steps: readonly Step[]): Outline {
  // A build on a build on a build: the lowest one is the first to be gone through.
  const chains = [steps]
  for (let base = baseOf(steps); base?.kind === 'steps'; base = baseOf(base.steps)) chains.push(base.steps)
  let outline: Outline | undefined
  for (const chain of chains.reverse()) outline = outlineOn(outline, chain)
  return outline ?? outlineOn(undefined, steps)
}

function baseOf([first]: readonly Step[]): Base | undefined {
  return first?.kind === 'from' ? first.base : undefined
}

/** The outline of one chain; `below` is that of the build that it starts from, if it does. */
function outlineOn(below: Outline | undefined, steps: readonly Step[]): Outline {
  let config: ExecutionConfig = { Env: defaultEnvironment }
  let layers: ImageLayer[] = []
  for (const [index, step] of steps.entries()) {
    if (step.kind === 'from') {
      const { base } = step
      const inner = base.kind === 'image' ? base.image : base.kind === 'steps' ? below : undefined
      if (inner) config = inner.config
      layers = inner ? [...inner.layers] : base.kind === 'scratch' ? [] : [placeholder(index, step)]
    } else if (step.kind === 'run' || step.kind === 'copy' || step.kind === 'add') {
      layers.push(placeholder(index, step))
    } else if (step.kind === 'workdir') {
      config = applyWorkdir(config, step.path)
      layers.push(placeholder(index, step))
    } else if (step.kind === 'late') {
      if (/^(run|copy|add|workdir)\b/i.test(step.text)) layers.push(placeholder(index, step))
    } else if (step.kind !== 'arg' && step.kind !== 'maintainer') {
      config = applyStep(config, step)
    }
  }
  return { config, layers }
}
