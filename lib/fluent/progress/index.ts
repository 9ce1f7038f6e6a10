export { type Shown, shownBuild, shownTransfer } from './shown.ts'
