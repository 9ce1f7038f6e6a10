import { mkdir, rm } from 'node:fs/promises'
import { closeZygote, confined, openZygotes, zygoteOf } from '../zygote/index.ts'
import type { TryProgram } from './checks/tries.ts'

/** `tryProgram` in the zygote of the store at `root`; `close` leaves things as they were. */
export interface Trials extends AsyncDisposable {
  readonly tryProgram: TryProgram
}

/** Nothing is started before the first trial. A zygote and a directory that were not there before are gone after. */
export function trialsIn(root: string): Trials {
  const wasOpen = openZygotes().includes(root)
  let made: string | undefined
  return {
    async tryProgram(mounts, inside) {
      made ??= await mkdir(root, { recursive: true, mode: 0o700 })
      await using agent = await confined(await zygoteOf(root), mounts)
      if (inside.length > 0) await agent.run(inside)
    },
    async [Symbol.asyncDispose]() {
      if (!wasOpen) await closeZygote(root)
      if (made !== undefined) await rm(made, { recursive: true, force: true })
    },
  }
}
