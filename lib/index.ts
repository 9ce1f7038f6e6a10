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
export { Container, Image, ImageBuilder, image, images, Namespaces, ns, plan, store, type NamespaceCommandOptions, type PlanOptions } from './fluent/index.ts'
export type { NamespaceKind, NamespaceOptions } from './namespaces/index.ts'
export type { CapabilityName, Rlimits, SeccompProfile, WindowSize } from './process/index.ts'
export { Plan, type Op, type SystemCalls } from './sys/index.ts'
