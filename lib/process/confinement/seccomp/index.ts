export type { Architecture, SyscallName } from './architectures.ts'
export { type SeccompOptions, filterAllows, seccompFilter } from './filter.ts'
export {
  type SeccompProfile,
  type SeccompProfileArgument,
  type SeccompProfileFilter,
  type SeccompProfileRule,
  profileFlags,
} from './profile.ts'
