export {
  BuildError,
  type BuildEvent,
  type BuildOptions,
  type CopyOptions,
  type Healthcheck,
  type MemoryFiles,
  type RunOptions,
} from './build/index.ts'
export {
  type CommandOptions,
  type ContainerExit,
  type ContainerInfo,
  type ContainerOptions,
  type ContainerState,
  containers,
  type FileEntry,
  type LogLine,
  type LogOptions,
  Process,
  type ProcessResult,
  type SnapshotOptions,
  type StartOptions,
  type Usage,
} from './containers/index.ts'
export { type CheckReport, type Diagnosis, type DoctorOptions, doctor } from './doctor/index.ts'
export { type ErrorCode, errorCodes, StrakeError } from './errors/index.ts'
export {
  Container,
  Image,
  ImageBuilder,
  type ImageSaveOptions,
  image,
  images,
  type NamespaceCommandOptions,
  Namespaces,
  ns,
  type PlanOptions,
  plan,
  registry,
  store,
} from './fluent/index.ts'
export type {
  Compress,
  ExportOptions,
  Pruned,
  PruneOptions,
  RemoveOptions,
  SaveFormat,
  SaveTarget,
  StoreProblem,
  StoreReport,
  StoreUsage,
  UsageOfImage,
  UsageOfKind,
  VerifyOptions,
} from './images/index.ts'
export type { NamespaceKind, NamespaceOptions } from './namespaces/index.ts'
export type { CapabilityName, Rlimits, SeccompProfile, WindowSize } from './process/index.ts'
export {
  type PullOptions,
  type PullPolicy,
  type PushOptions,
  type PushResult,
  type Referrer,
  type ReferrersOptions,
  type RegistryOptions,
  RegistryServer,
  type RegistryTls,
  type RemoteAuth,
  type RemoteOptions,
  type RemoteTimeouts,
  type RemoteTls,
  type TransferEvent,
  type TransferOptions,
} from './registry/index.ts'
export { type Op, Plan, type SystemCalls } from './sys/index.ts'
