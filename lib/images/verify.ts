import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { checkFlag, checkHooks, optionCheck, StrakeError } from '../errors/index.ts'
import type { AgentFor } from '../layers/index.ts'
import { algorithmOf, blobKey, type Digest, failedWith, type HoldKey, hexOf, type Store, snapshotKey, toDigest } from '../store/index.ts'
import type { Agent } from '../zygote/index.ts'
import { removeSnapshots, snapshotsIn } from './collect.ts'
import { isThere, type Measure, measureTree, recordedMeasure, snapshotMeasure } from './measure.ts'
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
  const announced = announcedSizes(images)
  const blobs: Digest[] = []
  for await (const { digest } of store.blobs.list()) blobs.push(digest)
  const chains = await snapshotsIn(store)
  const suspects: Finding[] = []
  const looked = { blobs: 0, snapshots: 0, bytes: 0 }
  let done = 0
  const advance = (): void => {
    done += 1
    options.onProgress?.({ done, total: blobs.length + chains.length })
    if (options.signal?.aborted) throw new StrakeError('aborted', 'looking the store over was aborted', { cause: options.signal.reason })
  }
  for (const digest of blobs) {
    const { finding, size } = await checkBlob(store, digest, announced.get(digest))
    if (finding) suspects.push(finding)
    if (size !== undefined) {
      looked.blobs += 1
      looked.bytes += size
    }
    advance()
  }
  suspects.push(...(await missingBlobs(store, images)))
  const agent = await agentFor('/store/snapshots')
  try {
    for (const chainId of chains) {
      const known = await recordedMeasure(store, chainId)
      const finding = known && (await checkSnapshot(store, agent, chainId, known))
      if (finding) suspects.push(finding)
      if (known || (await snapshotMeasure(store, agent, `/${hexOf(chainId)}`, chainId, options.signal))) looked.snapshots += 1
      advance()
    }
    suspects.push(...(await missingSnapshots(store)))
    const problems = suspects.length === 0 ? [] : await judge(store, agent, agentFor, suspects, options)
    return { ok: problems.every((each) => each.mended), ...looked, problems }
  } finally {
    await agent.close()
  }
}

/**
 * Beside other processes, a blob may have been replaced between two looks, or have gone with its image: what seemed wrong is looked at once more while nobody
 * takes anything away. What is so then is a problem.
 */
async function judge(
  store: Store,
  agent: Agent,
  agentFor: AgentFor,
  suspects: readonly Finding[],
  { mend: mends, signal }: VerifyOptions,
): Promise<StoreProblem[]> {
  const work = async (): Promise<StoreProblem[]> => {
    const images = await surveyImages(store)
    const again = (some: readonly Finding[]): Promise<Finding[]> => lookAgain(store, agent, images, some)
    const findings = await again(suspects)
    const mended = mends ? await mend(store, images, findings, again, agentFor) : new Set<Finding>()
    return findings.map((finding) => ({ ...describe(store, images, finding), mended: mended.has(finding) }))
  }
  return await store.freeing(() => store.withLock('collect', work, { signal, timeout: 600_000 }))
}

/** Those that are still so. */
async function lookAgain(store: Store, agent: Agent, images: readonly SurveyedImage[], some: readonly Finding[]): Promise<Finding[]> {
  const announced = announcedSizes(images)
  const missing = new Map((await missingBlobs(store, images)).map((finding) => [finding.digest, finding]))
  const missingTrees = new Map((await missingSnapshots(store)).map((finding) => [finding.digest, finding]))
  const found: (Finding | undefined)[] = []
  for (const { kind, what, digest } of some) {
    if (what === 'missing') found.push((kind === 'blob' ? missing : missingTrees).get(digest))
    else if (kind === 'blob') found.push((await checkBlob(store, digest, announced.get(digest))).finding)
    else {
      const known = await recordedMeasure(store, digest)
      found.push(known && (await checkSnapshot(store, agent, digest, known)))
    }
  }
  return found.filter((each) => each !== undefined)
}

function announcedSizes(images: readonly SurveyedImage[]): Map<Digest, number> {
  return new Map(images.flatMap((image) => [...image.blobs.values()].map(({ digest, size }) => [digest, size] as const)))
}

async function checkSnapshot(store: Store, agent: Agent, chainId: Digest, known: Measure): Promise<Finding | undefined> {
  const { fingerprint } = await measureTree(agent, `/${hexOf(chainId)}`)
  if (fingerprint === known.fingerprint || !(await isThere(store.path('snapshots', hexOf(chainId))))) return undefined
  return { kind: 'snapshot', what: 'changed', digest: chainId, expected: known.fingerprint, actual: fingerprint }
}

/** No size where it is gone. */
async function checkBlob(store: Store, digest: Digest, announced: number | undefined): Promise<{ finding?: Finding; size?: number }> {
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
    if (failedWith(error, 'ENOENT')) return {}
    if (failedWith(error, 'EISDIR', 'EIO')) return { size, finding: { kind: 'blob', what: 'digest', digest, expected: digest } }
    throw error
  }
  if (announced !== undefined && announced !== size)
    return { size, finding: { kind: 'blob', what: 'size', digest, expected: announced, actual: size } }
  const actual = toDigest(algorithm, hash.digest('hex'))
  if (actual !== digest) return { size, finding: { kind: 'blob', what: 'digest', digest, expected: digest, actual } }
  return { size }
}

/** A directory in a blob's place is none. */
async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch (error) {
    if (failedWith(error, 'ENOENT')) return false
    throw error
  }
}

async function missingBlobs(store: Store, images: readonly SurveyedImage[]): Promise<Finding[]> {
  const missing = new Map<Digest, Finding>()
  for (const image of images) {
    for (const { digest, role } of image.blobs.values()) {
      if (role === 'other' || (await isFile(store.blobs.path(digest)))) continue
      if (role === 'manifest' && digest !== image.descriptor.digest && image.manifests.length > 0) continue
      missing.set(digest, { kind: 'blob', what: 'missing', digest })
    }
  }
  for (const image of images)
    for (const digest of image.ociForms)
      if (!(await isFile(store.blobs.path(digest)))) missing.set(digest, { kind: 'blob', what: 'missing', digest })
  return [...missing.values()]
}

/** Of containers that run: one that is only held may be on its way. */
async function missingSnapshots(store: Store): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const key of store.holds.held().keys()) {
    if (!key.startsWith('mounted:')) continue
    const chainId = toDigest('sha256', key.slice('mounted:'.length))
    if (!(await isThere(store.path('snapshots', hexOf(chainId))))) findings.push({ kind: 'snapshot', what: 'missing', digest: chainId })
  }
  return findings
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

/** Names go first, so that nobody finds an image that lacks something. Each is looked at `again` once others have been told to leave it alone. */
async function mend(
  store: Store,
  images: readonly SurveyedImage[],
  findings: readonly Finding[],
  again: (some: readonly Finding[]) => Promise<Finding[]>,
  agentFor: AgentFor,
): Promise<ReadonlySet<Finding>> {
  const mended = new Set<Finding>()
  const byKey = new Map(findings.map((each) => [each.kind === 'blob' ? blobKey(each.digest) : snapshotKey(each.digest), each]))
  await store.holds.remove(
    [...byKey.keys()],
    async () => new Set(store.holds.held().keys()),
    async (keys) => {
      const ours = keys.flatMap((key) => byKey.get(key) ?? [])
      for (const { kind, digest } of await again(ours)) {
        if (kind === 'snapshot') await removeSnapshots(store, [digest], agentFor)
        else {
          for (const image of images) if (image.blobs.has(digest)) await store.refs.remove(image.descriptor.digest)
          await store.blobs.remove(digest)
        }
      }
      for (const each of ours) mended.add(each)
    },
  )
  // What other programs see of an image is made anew.
  if (images.some(({ ociForms }) => findings.some(({ digest }) => ociForms.has(digest)))) await store.refs.renew()
  // What a push has learnt from a damaged layer goes with it.
  if (mended.size > 0) await removeStaleTransfers(store)
  return mended
}
