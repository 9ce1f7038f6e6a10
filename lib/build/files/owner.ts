import { lookUpUser } from '../../ids/index.ts'
import type { RootPaths } from './root-paths.ts'

export interface Owner {
  readonly uid: number
  readonly gid: number
}

async function text(paths: RootPaths, path: string): Promise<string | undefined> {
  return (await paths.readFile(path))?.toString('utf8')
}

/** The ids of a `chown` that is numbers, with no image at hand. */
export function numericOwner(chown: string): Owner {
  const [uid = 0, gid = uid] = chown.split(':').map(Number)
  return { uid, gid }
}

/**
 * The ids that `chown` names, looked up in the image's own /etc/passwd and /etc/group: `user`, `user:group`, `uid`, `uid:gid`.
 * A group that is left out is the user's own in passwd, and for a bare number that number, as COPY and WORKDIR of a Dockerfile have it.
 * Rejects with `user_not_found`.
 */
export async function lookUpOwner(paths: RootPaths, chown: string): Promise<Owner> {
  const isBareNumber = /^\d+$/.test(chown)
  const { uid, gid } = lookUpUser(chown, await text(paths, '/etc/passwd'), await text(paths, '/etc/group'))
  return { uid, gid: isBareNumber ? uid : gid }
}
