export type { Architecture, SyscallName } from './architectures.ts'
export { filterAllows, filterForbids, type SeccompOptions, seccompFilter } from './filter.ts'
export {
  profileFlags,
  type SeccompProfile,
  type SeccompProfileArgument,
  type SeccompProfileFilter,
  type SeccompProfileRule,
} from './profile.ts'
