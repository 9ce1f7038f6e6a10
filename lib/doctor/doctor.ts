import { checkNative } from '../../native/binding.ts'
import { optionCheck, StrakeError } from '../errors/index.ts'
import { defaultRoot } from '../store/index.ts'
import type { Check, CheckReport, CheckResult } from './check.ts'
import { cgroupChecks } from './checks/cgroups.ts'
import { idChecks } from './checks/ids.ts'
import { kernelChecks, type LoadNative } from './checks/kernel.ts'
import { namespaceChecks } from './checks/namespaces.ts'
import { noStoreChecks, storeChecks } from './checks/store.ts'
import { type TryProgram, trialChecks } from './checks/tries.ts'
import { type Machine, thisMachine } from './machine.ts'
import { formatReports } from './table.ts'
import { trialsIn } from './try.ts'

export interface DoctorOptions {
  /** Asked besides the library's own. */
  readonly checks?: readonly Check[] | undefined
  /** The store's directory. Default: that of `$STRAKE_ROOT`. */
  readonly root?: string | undefined
  /** What is looked at. Default: this machine. */
  readonly machine?: Machine | undefined
  /** Default: in this store's zygote, which is ended again if it was not there before. */
  readonly tryProgram?: TryProgram | undefined
  /** How the native part is loaded. Default: as a start does it, and the helper of the package is looked at. */
  readonly loadNative?: LoadNative | undefined
}

const checkDoctorOptions = optionCheck<DoctorOptions>('doctor', {
  checks: true,
  root: true,
  machine: true,
  tryProgram: true,
  loadNative: true,
})

/** What this machine can do. Printed as a table by `String()` and in the REPL. */
export class Diagnosis {
  /** Can containers run? True also where some check of what is not needed failed: they run with less. */
  readonly ok: boolean
  /** What was looked at, in the order in which one thing needs another. */
  readonly checks: readonly CheckReport[]

  constructor(checks: readonly CheckReport[]) {
    this.checks = checks
    this.ok = checks.every((check) => check.ok || !check.needed)
  }

  toString(): string {
    return formatReports(this.checks)
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/** A check that breaks is a failing check, never the end of the others. */
async function report(check: Check): Promise<CheckReport> {
  let result: CheckResult
  try {
    result = await check.run()
  } catch (error) {
    const words = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    result = { ok: false, detail: `the check itself failed: ${words}`, fix: 'Report it with the table of this doctor.' }
  }
  const { ok, detail, fix, needed = check.needed ?? true } = result
  return { name: check.name, ok, needed, detail, ...(fix === undefined ? {} : { fix }) }
}

function rootOrWhyNot(): string | StrakeError {
  try {
    return defaultRoot()
  } catch (error) {
    if (error instanceof StrakeError) return error
    throw error
  }
}

/**
 * Asks this machine what containers need, and says for each thing that is missing the command that mends it. Rejects for options that are none only (`invalid_argument`). Elsewhere
 * than on Linux it says what to run it on. A quarter of a second: namespaces are made and an overlay is mounted in the store.
 *
 * @example
 * const diagnosis = await doctor()
 * if (!diagnosis.ok) console.log(String(diagnosis))
 */
export async function doctor(options: DoctorOptions = {}): Promise<Diagnosis> {
  checkDoctorOptions(options)
  const machine = options.machine ?? thisMachine()
  const root = options.root ?? rootOrWhyNot()
  const isLinux = machine.platform === 'linux'
  await using trials = typeof root === 'string' ? trialsIn(root) : undefined
  const kernel = kernelChecks(machine, options.loadNative ?? checkNative)
  const checks: readonly Check[] = isLinux
    ? [
        ...kernel,
        ...namespaceChecks(machine),
        ...idChecks(machine),
        ...cgroupChecks(),
        ...(typeof root === 'string' ? storeChecks(machine, root) : noStoreChecks(root)),
        ...(trials ? trialChecks(machine, options.tryProgram ?? trials.tryProgram) : []),
        ...(options.checks ?? []),
      ]
    : kernel.slice(0, 1)
  const reports: CheckReport[] = []
  for (const check of checks) reports.push(await report(check))
  return new Diagnosis(reports)
}
