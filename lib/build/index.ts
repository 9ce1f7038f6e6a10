export { type BuildOptions, checkBuildOptions } from './context.ts'
export type { ContextInput } from './context-files.ts'
export { describeStep } from './describe.ts'
export { type DockerfileOptions, dockerfileSteps } from './dockerfile/index.ts'
export { onbuildSteps } from './dockerfile/trigger.ts'
export { formatDockerfile, type ToDockerfileOptions } from './dockerfile/write/index.ts'
export { BuildError } from './failure.ts'
export type { BindMount, CacheMount, CacheSharing, RunMount, SecretMount, SshMount, TmpfsMount } from './mount.ts'
export { type Outline, outlineOf } from './outline.ts'
export type { BuildEvent } from './progress.ts'
export type { BuildCommand, BuildCommandResult, BuildLayer, BuildRuntime } from './runtime.ts'
export type { SecretInput, SecretSource } from './secret.ts'
export { defaultPath } from './settings.ts'
export { buildImage } from './solver.ts'
export type { StageLayer } from './stage.ts'
export type { AddStep, ArgStep, Base, BuildNetwork, CopyStep, FileMode, FromStep, LateStep, OnBuildStep, RunStep, Step } from './step.ts'
export { type AddOptions, addStep } from './steps/add.ts'
export { type CopyOptions, type CopySettingsOptions, copyStep, type MemoryFiles } from './steps/copy.ts'
export { type BaseInput, fromStep } from './steps/from.ts'
export {
  type BindOptions,
  bind,
  type CacheOptions,
  cache,
  type SecretOptions,
  type SshOptions,
  secret,
  ssh,
  type TmpfsOptions,
  tmpfs,
} from './steps/mounts.ts'
export { type RunOptions, runStep } from './steps/run.ts'
export {
  argStep,
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
