import { isRecord, StrakeError } from '../../errors/index.ts'
import type { MountSpec } from '../../rootfs/index.ts'
import { storeError } from '../../store/index.ts'
import { layout } from '../../sys/index.ts'

/** The fields of the op that failed, by their names. */
function fieldsOf({ details }: StrakeError): Readonly<Record<string, unknown>> {
  return isRecord(details?.arguments) ? details.arguments : {}
}

/** The target of the mount that the kernel refused to attach. */
function refusedTarget(error: StrakeError, mounts: readonly MountSpec[]): string | undefined {
  const failed = error.details?.op === 'attach' ? `/${String(fieldsOf(error).path)}` : undefined
  return mounts.find(({ target }) => target === failed)?.target
}

/** Mounts are made ready in a place, and in slots, of their own (`mountOps`). */
function isOfMounts(error: StrakeError): boolean {
  return Object.values(fieldsOf(error)).some(
    (field) => typeof field === 'string' && (field.startsWith(`${layout.newMounts}/`) || /^mount(\.|$)/.test(field)),
  )
}

/** What the kernel refused while mounts were made ready, as a failure of the step. A full disk stays one, and so does all else. */
export function mountsRefused(error: unknown): unknown {
  if (!(error instanceof StrakeError) || error.code !== 'kernel_refused' || storeError(error) !== error) return error
  return new StrakeError('build_failed', `run: its mounts cannot be made ready: ${error.message.split('\n')[0]}`, {
    hint: error.hint,
    cause: error,
    details: { exitCode: null, log: '' },
  })
}

/** What the kernel refused of a command's start, as a failure of the step where it was about `mounts`. */
export function startRefused(error: unknown, mounts: readonly MountSpec[]): unknown {
  if (!(error instanceof StrakeError) || error.code !== 'kernel_refused') return error
  const target = refusedTarget(error, mounts)
  if (target === undefined) return isOfMounts(error) ? mountsRefused(error) : error
  return new StrakeError('build_failed', `run: nothing can be mounted on ${target} in this image`, {
    hint: 'a link of the image leads there, or another mount covers it: mount on a directory',
    cause: error,
    details: { exitCode: null, log: '', path: target },
  })
}
