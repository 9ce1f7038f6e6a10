import { constants } from 'node:fs'
import { lstat, open, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { failedWith, homeDirectory } from '../../store/index.ts'

/** A file in which credentials are kept. */
export interface CredentialFile {
  readonly path: string
  /**
   * A directory that anybody may make things in: the file counts only if it, and all directories between the two, are the caller's, no links, and
   * nobody else may write to them.
   */
  readonly within?: string
  /** It is another user's affair where this one may not read it: podman would not have written there either. */
  readonly isForeignPassed?: boolean
}

/**
 * The files in which credentials are kept, the first one first: `$REGISTRY_AUTH_FILE` alone if it is set (containers-auth.json(5)), else those of
 * podman, that of docker (`$DOCKER_CONFIG`), and those that podman writes to where there is no `$XDG_RUNTIME_DIR`.
 */
export function credentialFiles(env: NodeJS.ProcessEnv = process.env, uid = process.getuid?.()): CredentialFile[] {
  if (env.REGISTRY_AUTH_FILE) return [{ path: env.REGISTRY_AUTH_FILE }]
  const home = homeDirectory(env)
  const config = env.XDG_CONFIG_HOME || (home && join(home, '.config'))
  const docker = env.DOCKER_CONFIG || (home && join(home, '.docker'))
  const temporary = env.TMPDIR || '/tmp'
  return [
    ...(env.XDG_RUNTIME_DIR ? [{ path: join(env.XDG_RUNTIME_DIR, 'containers', 'auth.json') }] : []),
    ...(config ? [{ path: join(config, 'containers', 'auth.json') }] : []),
    ...(docker ? [{ path: join(docker, 'config.json') }] : []),
    ...(uid === undefined
      ? []
      : [
          { path: join('/run/containers', String(uid), 'auth.json'), isForeignPassed: true },
          { path: join('/run/user', String(uid), 'containers', 'auth.json'), isForeignPassed: true },
          { path: join(temporary, `podman-run-${uid}`, 'containers', 'auth.json'), within: temporary },
        ]),
  ]
}

/** What is in such a file; undefined where there is none that counts. Rejects with the file system's own errors. */
export async function readCredentialFile({ path, within, isForeignPassed }: CredentialFile): Promise<string | undefined> {
  try {
    return await (within === undefined ? readFile(path, 'utf8') : readOwn(path, within))
  } catch (error) {
    if (failedWith(error, 'ENOENT', 'ENOTDIR') || (isForeignPassed && failedWith(error, 'EACCES'))) return undefined
    throw error
  }
}

async function readOwn(path: string, within: string): Promise<string | undefined> {
  // From above: once a directory is the caller's alone, nobody else changes what is below.
  for (const directory of directoriesBetween(path, within)) {
    const status = await lstat(directory)
    if (!status.isDirectory() || !isOwn(status)) return undefined
  }
  // A fifo that is opened for reading must not make anybody wait.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const handle = await open(path, flags).catch((error: unknown) => {
    if (failedWith(error, 'ELOOP', 'EACCES')) return undefined
    throw error
  })
  if (handle === undefined) return undefined
  try {
    const status = await handle.stat()
    return status.isFile() && isOwn(status) ? await handle.readFile('utf8') : undefined
  } finally {
    await handle.close()
  }
}

function directoriesBetween(path: string, within: string): string[] {
  const found: string[] = []
  for (let each = dirname(path); each.length > join(within).length; each = dirname(each)) found.unshift(each)
  return found
}

function isOwn({ uid, mode }: { readonly uid: number; readonly mode: number }): boolean {
  return uid === process.getuid?.() && (mode & 0o022) === 0
}
