export * from './error.ts'
export { nearestName } from './nearest.ts'
export * from './options.ts'
