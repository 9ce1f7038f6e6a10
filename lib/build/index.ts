export { type BuildOptions, checkBuildOptions } from './context.ts'
export { describeStep } from './describe.ts'
export { BuildError } from './failure.ts'
export { type Outline, outlineOf } from './outline.ts'
export type { BuildEvent } from './progress.ts'
export type { BuildCommand, BuildCommandResult, BuildLayer, BuildRuntime } from './runtime.ts'
export { defaultPath } from './settings.ts'
export { buildImage } from './solver.ts'
export type { StageLayer } from './stage.ts'
export type { Base, BuildNetwork, CopyStep, FromStep, RunStep, Step } from './step.ts'
export { type CopyOptions, copyStep, type MemoryFiles } from './steps/copy.ts'
export { type BaseInput, fromStep } from './steps/from.ts'
export { type RunOptions, runStep } from './steps/run.ts'
export {
  cmdStep,
  entrypointStep,
  envStep,
  exposeStep,
  type Healthcheck,
  healthcheckStep,
  labelStep,
  shellStep,
  stopSignalStep,
  userStep,
  volumeStep,
  workdirStep,
} from './steps/settings.ts'
