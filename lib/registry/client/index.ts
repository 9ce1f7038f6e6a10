export { type FoundCredentials, storedCredentials } from './credentials.ts'
export * from './options.ts'
export { pullImage } from './pull.ts'
export type { UnpackImage, UnpackOptions } from './unpacking.ts'
