export { BuildError, type BuildEvent, type BuildOptions, type CopyOptions, type Healthcheck, type MemoryFiles, type RunOptions } from './build/index.ts'
export {
  containers,
  Process,
  type CommandOptions,
  type ContainerExit,
  type ContainerInfo,
  type ContainerOptions,
  type ContainerState,
  type FileEntry,
  type LogLine,
  type LogOptions,
  type ProcessResult,
  type SnapshotOptions,
  type StartOptions,
  type Usage,
} from './containers/index.ts'
export { doctor, type CheckReport, type Diagnosis, type DoctorOptions } from './doctor/index.ts'
export { errorCodes, StrakeError, type ErrorCode } from './errors/index.ts'
export { Container } from './fluent/container.ts'
export { Image, type PlanOptions } from './fluent/image.ts'
export { image, ImageBuilder } from './fluent/image-builder.ts'
export { images } from './fluent/images.ts'
export { Namespaces, ns, type NamespaceCommandOptions } from './fluent/namespaces.ts'
export { plan } from './fluent/plan.ts'
export { store } from './fluent/store.ts'
export type { NamespaceKind, NamespaceOptions } from './namespaces/index.ts'
export type { CapabilityName, Rlimits, SeccompProfile, WindowSize } from './process/index.ts'
export { Plan, type Op, type SystemCalls } from './sys/index.ts'
