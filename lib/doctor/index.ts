export type { Check, CheckReport, CheckResult } from './check.ts'
export type { TryProgram } from './checks/tries.ts'
export { Diagnosis, type DoctorOptions, doctor } from './doctor.ts'
export { type Machine, thisMachine } from './machine.ts'
