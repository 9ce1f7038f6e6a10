import { invalidOption, optionCheck } from '../errors/index.ts'
import type { WindowSize } from '../process/index.ts'
import { encodeOps, SlotTable } from '../sys/index.ts'

const checkNames = optionCheck<WindowSize>('resize', { rows: true, columns: true })

/** The ops that give a terminal its size; the fd is the slot `terminal`. Throws `invalid_argument`. */
export function encodeResize(size: WindowSize): Buffer {
  checkNames(size)
  for (const name of ['rows', 'columns'] as const) {
    const value = size[name]
    if (!Number.isInteger(value) || value < 1 || value > 65_535) throw invalidOption(`${name} must be a whole number from 1 to 65535.`)
  }
  const slots = new SlotTable()
  slots.give(['terminal'])
  return encodeOps([{ op: 'windowSize', fd: 'terminal', rows: size.rows, columns: size.columns }], slots)
}
