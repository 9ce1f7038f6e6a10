export type { Architecture, SyscallName } from './architectures.ts'
export { filterAllows, type SeccompOptions, seccompFilter } from './filter.ts'
export {
  profileFlags,
  type SeccompProfile,
  type SeccompProfileArgument,
  type SeccompProfileFilter,
  type SeccompProfileRule,
} from './profile.ts'
