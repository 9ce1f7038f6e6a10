import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { failedWith, type Store } from '../store/index.ts'

/**
 * Small facts of the store's `cache/`, one JSON file each, replaced as a whole. They are never trusted: `parse` gives undefined for what it does not know,
 * and a file that is missing or torn (they are not synced) counts as none.
 */
export async function readRecord<T>(path: string, parse: (value: unknown) => T | undefined): Promise<T | undefined> {
  try {
    return parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    if (error instanceof SyntaxError || failedWith(error, 'ENOENT')) return undefined
    throw error
  }
}

export async function writeRecord(store: Store, path: string, value: object): Promise<void> {
  const temporary = store.temporary('tmp', 'record')
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  try {
    await writeFile(temporary, JSON.stringify(value), { mode: 0o600 })
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
}

/** A parsed JSON object's fields, or none. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}
