import { userInfo } from 'node:os'
import { isAbsolute } from 'node:path'

/** `$HOME`, else what passwd(5) says; undefined for a user that has neither, as a uid without an entry there. */
export function homeDirectory(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (env.HOME && isAbsolute(env.HOME)) return env.HOME
  try {
    return userInfo().homedir || undefined
  } catch {
    return undefined
  }
}
