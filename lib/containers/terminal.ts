import type { WindowSize } from '../process/index.ts'
import { encodeOps, SlotTable } from '../sys/index.ts'

/** The ops that give a terminal its size; the fd is the slot `terminal`. */
export function encodeResize(size: WindowSize): Buffer {
  const slots = new SlotTable()
  slots.give(['terminal'])
  return encodeOps([{ op: 'windowSize', fd: 'terminal', rows: size.rows, columns: size.columns }], slots)
}
