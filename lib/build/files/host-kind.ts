import { constants } from 'node:fs'
import type { FileIdentity } from './digest-cache.ts'
import type { EntryKind } from './entry.ts'

/** Undefined for what no layer has from a context: sockets, fifos, devices. */
export function kindOf({ mode }: FileIdentity): EntryKind | undefined {
  switch (mode & constants.S_IFMT) {
    case constants.S_IFREG:
      return 'file'
    case constants.S_IFDIR:
      return 'directory'
    case constants.S_IFLNK:
      return 'link'
    default:
      return undefined
  }
}

export function isSocket({ mode }: FileIdentity): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFSOCK
}
