export { type Board, openBoard, type Pane, type View } from './board.ts'
export { bar, bytes, fit, printable, seconds } from './text.ts'
