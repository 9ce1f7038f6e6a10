import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { registerHooks } from './hooks.ts'
import type { Library } from './library.ts'

export type Load = (specifier: string, options?: ImportCallOptions) => Promise<unknown>

/** The modules of a session: the library, and what its inputs import, found from the session's directory. */
export class Modules {
  readonly #library: Library
  /** Path of a module that is on no disk: one in the session's directory, to import from. */
  readonly #here: string
  #loaded: Promise<object> | undefined

  constructor(library: Library, cwd: string) {
    this.#library = library
    this.#here = join(cwd, 'strake-import.ts')
  }

  library(): Promise<object> {
    if (!this.#loaded) {
      const { specifier, url } = this.#library
      registerHooks({ specifier, url, outputs: [[this.#here, 'export default (name, options) => import(name, options)']] })
      this.#loaded = import(url)
    }
    return this.#loaded
  }

  /** `import()`. */
  readonly load: Load = async (specifier, options) => {
    await this.library()
    const here = (await import(pathToFileURL(this.#here).href)) as { default: Load }
    return here.default(specifier, options)
  }
}
