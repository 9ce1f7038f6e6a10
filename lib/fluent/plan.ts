import { invalidOption, isRecord, kindOfValue } from '../errors/index.ts'
import type { Plan } from '../sys/index.ts'
import type { PlanOptions } from './handles.ts'

/**
 * The program of system calls that a container of this image would be made by: data, to print, compare and iterate. The same image
 * and options give the same plan, on any machine; nothing runs.
 *
 * @example for (const step of plan(built)) console.log(step.op)
 */
export function plan(image: { plan(options?: PlanOptions): Plan }, options: PlanOptions = {}): Plan {
  const given: unknown = image
  if (!isRecord(given) || typeof given.plan !== 'function')
    throw invalidOption(`plan takes an image or its description, not ${kindOfValue(given)}.`, "plan(image('host').cmd(['date']))")
  return image.plan(options)
}
