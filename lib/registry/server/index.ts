export type { RegistryOptions, RegistryTls } from './options.ts'
export { RegistryServer } from './server.ts'
