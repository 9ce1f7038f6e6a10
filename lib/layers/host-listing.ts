import { binding } from '../../native/binding.ts'
import { errnoName } from '../sys/index.ts'
import { judgeXattr } from './xattrs.ts'

/** A file of this machine as its directory has it (lstat(2)). */
export interface HostFile {
  /** Bytes, one character each. */
  readonly name: string
  /** st_mode. */
  readonly mode: number
  readonly size: number
  readonly mtimeMs: number
  readonly ctimeMs: number
  readonly ino: number
  readonly dev: number
  /** The `security.capability` of an executable file that has any (capabilities(7)), as a layer may keep it. */
  readonly capability?: Buffer
  /** Why it cannot be looked at; all numbers are 0 then. `ENOENT`: it has gone meanwhile. */
  readonly error?: string
}

const numbersEach = 6

/** What is in an open directory, sorted by the names' bytes. Throws an `Error` with `code`, as Node's own calls do. */
export function listDirectory(fd: number): HostFile[] {
  const listed = binding().listDirectory(fd)
  if (typeof listed === 'number') {
    const code = errnoName(-listed)
    throw Object.assign(new Error(`${code}: a directory cannot be read`), { code })
  }
  const [names, memory, capabilities] = listed
  const numbers = new Float64Array(memory)
  const files = names === '' ? [] : names.split('/').map((name, index) => hostFile(name, numbers, index * numbersEach))
  for (let at = 0; at < capabilities.length; at += 2) {
    const index = Number(capabilities[at])
    const outcome = judgeXattr('security.capability', capabilities[at + 1] as Buffer)
    const file = files[index]
    if (file && 'keep' in outcome) files[index] = { ...file, capability: outcome.keep }
  }
  return files
}

function hostFile(name: string, numbers: Float64Array, at: number): HostFile {
  const number = (each: number): number => numbers[at + each] ?? 0
  const mode = number(0)
  if (mode < 0) return { name, mode: 0, size: 0, mtimeMs: 0, ctimeMs: 0, ino: 0, dev: 0, error: errnoName(-mode) }
  return { name, mode, size: number(1), mtimeMs: number(2), ctimeMs: number(3), ino: number(4), dev: number(5) }
}
