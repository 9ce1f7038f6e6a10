import { StrakeError } from '../errors/index.ts'

/** SOURCE_DATE_EPOCH as https://reproducible-builds.org/specs/source-date-epoch/ has it, in seconds; `invalid_argument` when it is no number. */
export function sourceDateEpoch(env: NodeJS.ProcessEnv = process.env): number | undefined {
  const text = env.SOURCE_DATE_EPOCH
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,12}$/.test(text))
    throw new StrakeError('invalid_argument', `SOURCE_DATE_EPOCH must be seconds since 1970, not ${JSON.stringify(text)}`)
  return Number(text)
}
