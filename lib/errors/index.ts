export * from './error.ts'
export { nearestName } from './nearest.ts'
export { onAbort } from './on-abort.ts'
export * from './options.ts'
