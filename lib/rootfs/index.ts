export * from './mount-points.ts'
export * from './mounts.ts'
export * from './overlay.ts'
export * from './prepared.ts'
