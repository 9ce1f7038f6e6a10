import { mkdirSync } from 'node:fs'
import { read, writable, write } from './files.ts'
import type { Controller, Hierarchy } from './hierarchy.ts'
import { ourName } from './owner.ts'

/** For each controller the directory in which groups may be made; or why there is none. */
export type PlaceV1 = { readonly parents: ReadonlyMap<Controller, string>; readonly problem?: string }

/**
 * Root makes `strake/` at the top of each mounted hierarchy, as Docker makes `docker/`. An ordinary user has a place only where somebody gave
 * one: the group that the process is in, or `strake-UID` at the top (the command that makes those is what the doctor shows).
 */
export function placeV1(hierarchies: ReadonlyMap<Controller, Hierarchy>): PlaceV1 {
  const uid = process.getuid?.() ?? 0
  const parents = new Map<Controller, string>()
  for (const [controller, { mountPoint, own }] of hierarchies) {
    const candidates = uid === 0 ? [mountPoint, own] : [`${mountPoint}/${ourName}-${uid}`, own]
    const place = candidates.find((directory) => directory !== undefined && writable(directory))
    if (place !== undefined) parents.set(controller, `${place}/${ourName}`)
  }
  if (parents.size > 0) return { parents }
  return { parents, problem: 'the cgroup v1 hierarchies have no group that this user may make groups in' }
}

/** Makes a directory of ours and those above it that are missing, down from `parent`, each ready to have groups inside. */
export function makeDirectory(controller: Controller, path: string): void {
  const above = path.slice(0, path.lastIndexOf('/'))
  try {
    mkdirSync(path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    if (error.code === 'EEXIST') return
    if (error.code !== 'ENOENT') throw error
    makeDirectory(controller, above)
    mkdirSync(path)
  }
  inherit(controller, path, above)
}

/** A new cpuset of v1 has no CPU and no memory node, and takes no process before it has. Old kernels count memory for each group alone. */
export function inherit(controller: Controller, path: string, above: string): void {
  if (controller === 'memory' && read(`${path}/memory.use_hierarchy`)?.trim() === '0') write(`${path}/memory.use_hierarchy`, '1', ['EBUSY'])
  if (controller !== 'cpuset') return
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (read(`${path}/${file}`)?.trim() === '') write(`${path}/${file}`, read(`${above}/${file}`)?.trim() ?? '')
  }
}
