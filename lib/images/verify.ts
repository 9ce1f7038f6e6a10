import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { checkFlag, checkHooks, optionCheck, StrakeError } from '../errors/index.ts'
import type { AgentFor } from '../layers/index.ts'
import { algorithmOf, blobKey, type Digest, failedWith, type HoldKey, hexOf, type Store, snapshotKey, toDigest } from '../store/index.ts'
import { removeSnapshots, snapshotsIn } from './collect.ts'
import { measureTree, recordedMeasure, recordMeasure } from './measure.ts'
import { type SurveyedImage, surveyImages } from './survey.ts'
import { removeStaleTransfers } from './transfer-records.ts'

export interface VerifyOptions {
  /**
   * Removes what is damaged, and the names of images that are not whole without it; a damaged snapshot is unpacked anew when it is
   * needed. What a living process has in use stays. Default false.
   */
  readonly mend?: boolean | undefined
  /** Ends it; it rejects with `aborted`. */
  readonly signal?: AbortSignal | undefined
  /** Called after each blob and snapshot. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined
}

const checkVerifyOptions = optionCheck<VerifyOptions>('verify', { mend: true, signal: true, onProgress: true })

/** Something that is not as it must be. */
export interface StoreProblem {
  readonly kind: 'blob' | 'snapshot'
  /**
   * - `digest`: the content is not the one that the name says: a flipped bit
   * - `size`: it has more or fewer bytes than those who point to it say
   * - `missing`: somebody points to it, and it is not there
   * - `changed`: a snapshot whose names, modes, owners, sizes or times are not those that it had when it was first looked at
   */
  readonly what: 'digest' | 'size' | 'missing' | 'changed'
  /** Of a blob its digest, of a snapshot its chainID. */
  readonly digest: Digest
  readonly path: string
  readonly expected?: string | number
  readonly actual?: string | number
  readonly usedBy: {
    readonly tags: readonly string[]
    /** Digests of indexes or manifests. */
    readonly images: readonly Digest[]
    /** Pids of processes that have containers of it. */
    readonly processes: readonly number[]
  }
  /** Whether it was removed. */
  readonly mended: boolean
}

export interface StoreReport {
  readonly ok: boolean
  /** How many were looked at. */
  readonly blobs: number
  readonly snapshots: number
  /** Bytes of the blobs. */
  readonly bytes: number
  readonly problems: readonly StoreProblem[]
}

type Finding = Omit<StoreProblem, 'usedBy' | 'mended' | 'path'>

/**
 * Reads every blob, compares it with its digest and with the sizes that are announced, and looks for what is missing; of snapshots only what can be
 * seen without reading their files. A manifest that an index names for another platform may be missing, if one is there. Resolves whatever is found.
 */
export async function verifyStore(store: Store, agentFor: AgentFor, options: VerifyOptions = {}): Promise<StoreReport> {
  checkVerifyOptions(options)
  checkHooks(options)
  checkFlag('mend', options.mend)
  const images = await surveyImages(store)
  const blobs: Digest[] = []
  for await (const { digest } of store.blobs.list()) blobs.push(digest)
  const chains = await snapshotsIn(store)
  const announced = new Map(images.flatMap((image) => [...image.blobs.values()].map(({ digest, size }) => [digest, size] as const)))
  const findings: Finding[] = []
  let bytes = 0
  let done = 0
  const advance = (): void => {
    done += 1
    options.onProgress?.({ done, total: blobs.length + chains.length })
    if (options.signal?.aborted) throw new StrakeError('aborted', 'looking the store over was aborted', { cause: options.signal.reason })
  }
  for (const digest of blobs) {
    const { finding, size } = await checkBlob(store, digest, announced.get(digest))
    if (finding) findings.push(finding)
    bytes += size
    advance()
  }
  findings.push(...(await missingBlobs(store, images)))
  const agent = await agentFor('/store/snapshots')
  try {
    for (const chainId of chains) {
      const measure = await measureTree(agent, `/${hexOf(chainId)}`)
      const known = await recordedMeasure(store, chainId)
      if (!known) await recordMeasure(store, chainId, measure)
      else if (known.fingerprint !== measure.fingerprint && (await isThere(store.path('snapshots', hexOf(chainId)))))
        findings.push({ kind: 'snapshot', what: 'changed', digest: chainId, expected: known.fingerprint, actual: measure.fingerprint })
      advance()
    }
  } finally {
    await agent.close()
  }
  findings.push(...(await missingSnapshots(store)))
  const mended = options.mend ? await mend(store, images, findings, agentFor) : new Set<Finding>()
  const problems = findings.map((finding) => ({ ...describe(store, images, finding), mended: mended.has(finding) }))
  return { ok: problems.every((each) => each.mended), blobs: blobs.length, snapshots: chains.length, bytes, problems }
}

async function checkBlob(store: Store, digest: Digest, announced: number | undefined): Promise<{ finding?: Finding; size: number }> {
  const algorithm = algorithmOf(digest)
  const hash = createHash(algorithm)
  let size = 0
  try {
    for await (const piece of createReadStream(store.blobs.path(digest), { highWaterMark: 1 << 20 })) {
      hash.update(piece as Buffer)
      size += (piece as Buffer).length
    }
  } catch (error) {
    // Removed by another process meanwhile; if somebody points to it, it is found missing.
    if (failedWith(error, 'ENOENT')) return { size: 0 }
    if (failedWith(error, 'EISDIR', 'EIO')) return { size, finding: { kind: 'blob', what: 'digest', digest, expected: digest } }
    throw error
  }
  if (announced !== undefined && announced !== size)
    return { size, finding: { kind: 'blob', what: 'size', digest, expected: announced, actual: size } }
  const actual = toDigest(algorithm, hash.digest('hex'))
  if (actual !== digest) return { size, finding: { kind: 'blob', what: 'digest', digest, expected: digest, actual } }
  return { size }
}

async function missingBlobs(store: Store, images: readonly SurveyedImage[]): Promise<Finding[]> {
  const missing = new Map<Digest, Finding>()
  for (const image of images) {
    for (const { digest, role } of image.blobs.values()) {
      if (role === 'other' || (await isThere(store.blobs.path(digest)))) continue
      if (role === 'manifest' && digest !== image.descriptor.digest && image.manifests.length > 0) continue
      missing.set(digest, { kind: 'blob', what: 'missing', digest })
    }
  }
  for (const image of images)
    for (const digest of image.ociForms)
      if (!(await isThere(store.blobs.path(digest)))) missing.set(digest, { kind: 'blob', what: 'missing', digest })
  if (missing.size === 0) return []
  // An image that was removed since needs nothing any more.
  const still = new Set((await surveyImages(store)).flatMap(({ blobs, ociForms }) => [...blobs.keys(), ...ociForms]))
  return [...missing.values()].filter(({ digest }) => still.has(digest))
}

/** Of containers that run. */
async function missingSnapshots(store: Store): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [key, owners] of store.holds.held()) {
    if (!key.startsWith('snapshot:') || ![...owners].some((owner) => hasImages(store, owner))) continue
    const chainId = toDigest('sha256', key.slice('snapshot:'.length))
    if (!(await isThere(store.path('snapshots', hexOf(chainId))))) findings.push({ kind: 'snapshot', what: 'missing', digest: chainId })
  }
  return findings
}

function hasImages(store: Store, owner: string): boolean {
  for (const [key, owners] of store.holds.held()) if (key.startsWith('image:') && owners.has(owner)) return true
  return false
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return false
    throw error
  }
}

function describe(store: Store, images: readonly SurveyedImage[], finding: Finding): Omit<StoreProblem, 'mended'> {
  const { digest } = finding
  const users = images.filter((image) =>
    finding.kind === 'blob' ? image.blobs.has(digest) || image.ociForms.has(digest) : image.chains.has(digest),
  )
  const held = store.holds.held()
  const keys: HoldKey[] = finding.kind === 'snapshot' ? [snapshotKey(digest)] : users.flatMap((each) => each.manifests.map(imageKey))
  const owners = new Set(keys.flatMap((key) => [...(held.get(key) ?? [])]))
  return {
    ...finding,
    path: finding.kind === 'blob' ? store.blobs.path(digest) : store.path('snapshots', hexOf(digest)),
    usedBy: {
      tags: users.flatMap(({ tags }) => tags).sort(),
      images: users.map(({ descriptor }) => descriptor.digest),
      processes: [...owners].map((owner) => Number(owner.split('-')[0])),
    },
  }
}

function imageKey(digest: Digest): HoldKey {
  return `image:${digest}`
}

/** Names go first, so that nobody finds an image that lacks something. */
async function mend(
  store: Store,
  images: readonly SurveyedImage[],
  findings: readonly Finding[],
  agentFor: AgentFor,
): Promise<ReadonlySet<Finding>> {
  const mended = new Set<Finding>()
  const byKey = new Map(findings.map((each) => [each.kind === 'blob' ? blobKey(each.digest) : snapshotKey(each.digest), each]))
  await store.withLock('collect', () =>
    store.holds.remove(
      [...byKey.keys()],
      async () => new Set(store.holds.held().keys()),
      async (keys) => {
        for (const key of keys) {
          const finding = byKey.get(key)
          if (finding === undefined) continue
          if (finding.kind === 'snapshot') await removeSnapshots(store, [finding.digest], agentFor)
          else {
            for (const image of images) if (image.blobs.has(finding.digest)) await store.refs.remove(image.descriptor.digest)
            await store.blobs.remove(finding.digest)
          }
          mended.add(finding)
        }
      },
    ),
  )
  // What other programs see of an image is made anew.
  if (images.some(({ ociForms }) => findings.some(({ digest }) => ociForms.has(digest)))) await store.refs.renew()
  // What a push has learnt from a damaged layer goes with it.
  if (mended.size > 0) await removeStaleTransfers(store)
  return mended
}
