export * from './overlay.ts'
export * from './prepared.ts'
export * from './mount-points.ts'
