import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { failedWith, type Store } from '../store/index.ts'

/**
 * Small facts of the store's `cache/`, one JSON file each, replaced as a whole. They are never trusted: `parse` gives undefined for what it does not know,
 * and a file that is missing or torn (they are not synced) counts as none. Read and written synchronously: it waits for no disk, and the ways
 * through the thread pool would cost more.
 */
export function readRecord<T>(path: string, parse: (value: unknown) => T | undefined): T | undefined {
  try {
    return parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    if (error instanceof SyntaxError || failedWith(error, 'ENOENT')) return undefined
    throw error
  }
}

export function writeRecord(store: Store, path: string, value: object): void {
  const temporary = store.temporary('tmp', 'record')
  try {
    writeFileSync(temporary, JSON.stringify(value), { mode: 0o600 })
    try {
      renameSync(temporary, path)
    } catch (error) {
      if (!failedWith(error, 'ENOENT')) throw error
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      renameSync(temporary, path)
    }
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** A parsed JSON object's fields, or none. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}
