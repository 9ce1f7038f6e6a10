export {
  type Capability,
  type CapabilityName,
  type CapabilityOptions,
  capabilityMask,
  capabilityNames,
  defaultCapabilities,
  resolveCapabilities,
} from './capabilities.ts'
export { maskedPaths, readonlyPaths, throttlePaths } from './masks.ts'
export { parseRlimits, type Rlimit, type RlimitName, type Rlimits, type RlimitValue, rlimitNames } from './rlimits.ts'
export * from './seccomp/index.ts'
