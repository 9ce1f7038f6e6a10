import type { SignalName } from '../zygote/index.ts'
import type { Usage } from './process.ts'

export type ContainerState = 'running' | 'paused' | 'stopped' | 'removed'

/** How a container's command ended. */
export interface ContainerExit {
  readonly exitCode: number | null
  readonly signal: SignalName | null
  /** It took longer than `timeout`, and was killed. */
  readonly timedOut: boolean
  readonly oomKilled: boolean
  readonly durationMs: number
  readonly usage: Usage
}

export interface ContainerInfo {
  readonly id: string
  readonly name: string
  readonly state: ContainerState
  readonly pid: number
  readonly image: { readonly digest: string; readonly tags: readonly string[] }
  readonly command: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  readonly user: { readonly uid: number; readonly gid: number }
  readonly hostname: string
  readonly network: 'none' | 'host'
  readonly startedAt: Date
  readonly exit: ContainerExit | undefined
}
