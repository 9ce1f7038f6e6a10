import { checkFlag, checkHooks, invalidOption, type OptionNames, optionCheck } from '../../errors/index.ts'
import { defaultLimits } from '../../layers/index.ts'
import { givenCredentials } from './credentials.ts'
import type { PullOptions, PushOptions, ReferrersOptions, RemoteOptions, RemoteTimeouts, RemoteTls, TransferOptions } from './options.ts'

const remoteNames: OptionNames<RemoteOptions> = { auth: true, tls: true, insecure: true, timeouts: true, retries: true, signal: true }
const transferNames: OptionNames<TransferOptions> = { ...remoteNames, parallel: true, onProgress: true }

type PullLimits = NonNullable<PullOptions['limits']>

const names = {
  pull: optionCheck<PullOptions>('pull', { ...transferNames, platform: true, policy: true, mirrors: true, limits: true, onNotice: true }),
  push: optionCheck<PushOptions>('push', { ...transferNames, compression: true, platform: true, chunkSize: true }),
  tags: optionCheck<RemoteOptions>('tags', remoteNames),
  catalog: optionCheck<RemoteOptions>('catalog', remoteNames),
  referrers: optionCheck<ReferrersOptions>('referrers', { ...remoteNames, artifactType: true }),
  deleteRemote: optionCheck<RemoteOptions>('deleteRemote', remoteNames),
} as const

const checkTls = optionCheck<RemoteTls>('tls', { ca: true, cert: true, key: true })
const checkTimeouts = optionCheck<RemoteTimeouts>('timeouts', { connect: true, headers: true, idle: true })

const limitNames = Object.fromEntries([...Object.keys(defaultLimits), 'blobBytes'].map((name) => [name, true])) as OptionNames<PullLimits>
const checkLimitNames = optionCheck<PullLimits>('limits', limitNames)

function checkLimits(limits: PullLimits): void {
  checkLimitNames(limits)
  for (const [name, value] of Object.entries(limits))
    if (value !== undefined && !(typeof value === 'number' && value >= 0)) throw invalidOption(`limits.${name} must be a number from 0 on.`)
}

/** Refuses what are no options of a call of this room; values that have a parser are left to it. Throws `invalid_argument`. */
export function checkRemoteOptions(call: keyof typeof names, options: RemoteOptions & Pick<PullOptions, 'limits'>): void {
  names[call](options)
  checkHooks(options)
  checkFlag('insecure', options.insecure)
  if (options.auth !== undefined) givenCredentials(options.auth)
  if (options.tls !== undefined) checkTls(options.tls)
  if (options.timeouts !== undefined) checkTimeouts(options.timeouts)
  if (options.limits !== undefined) checkLimits(options.limits)
}
