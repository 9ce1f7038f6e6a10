import { fstatSync, readSync } from 'node:fs'
import { closeFd } from '../../native/binding.ts'
import { StrakeError } from '../errors/index.ts'
import { type ContainerUser, lookUpUser } from '../ids/index.ts'
import { overlayOps } from '../rootfs/index.ts'
import { flags, type Op } from '../sys/index.ts'
import { type Agent, confined, type Zygote } from '../zygote/index.ts'

const { O } = flags
const largestFile = 10 * 1024 * 1024
const root: ContainerUser = { uid: 0, gid: 0, groups: [0], home: '/root' }

/** Reads a small regular file of an agent's root; undefined when there is none. Nothing but bytes comes out of the image. */
export async function readSmallFile(agent: Agent, path: string): Promise<string | undefined> {
  const ops: Op[] = [
    // O_NONBLOCK: a fifo in its place must not keep the agent waiting.
    { op: 'open', path, flags: O.O_RDONLY | O.O_NONBLOCK | O.O_NOCTTY, out: 'file' },
    { op: 'sendFd', fd: 'file', name: 'file' },
  ]
  let fd: number | undefined
  try {
    fd = (await agent.run(ops)).fds.file
  } catch (error) {
    if (error instanceof StrakeError && error.code === 'kernel_refused') return undefined
    throw error
  }
  if (fd === undefined) return undefined
  try {
    const about = fstatSync(fd)
    if (!about.isFile()) return undefined
    if (about.size > largestFile) throw new StrakeError('limit_exceeded', `${path} of the image is larger than ${largestFile} bytes.`)
    const bytes = Buffer.alloc(about.size)
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, 0))
  } finally {
    closeFd(fd)
  }
}

/** Whether the image's files are needed to know this user. */
function isRoot(user: string | number | undefined): boolean {
  return user === undefined || user === '' || user === 0 || user === '0' || user === 'root' || user === '0:0'
}

async function lookUpWith(agent: Agent, user: string | number): Promise<ContainerUser> {
  const passwd = await readSmallFile(agent, '/etc/passwd')
  const group = await readSmallFile(agent, '/etc/group')
  return lookUpUser(user, passwd, group)
}

const known = new Map<string, Promise<ContainerUser>>()
const mostKnown = 1000

/**
 * The user in an image, looked up in its /etc/passwd and /etc/group as they are in the merged layers. Rejects with
 * `user_not_found`, `invalid_argument`.
 */
export function userOfImage(
  zygote: Zygote,
  layers: readonly string[],
  user: string | number | undefined,
): ContainerUser | Promise<ContainerUser> {
  if (isRoot(user)) return root
  const key = JSON.stringify([zygote.root, layers[0] ?? '', typeof user, user])
  const before = known.get(key)
  if (before) return before
  const looked = (async () => {
    const agent = await confined(zygote, overlayOps({ lowers: layers }))
    try {
      return await lookUpWith(agent, user ?? '')
    } finally {
      await agent.close()
    }
  })()
  if (known.size >= mostKnown) known.clear()
  known.set(key, looked)
  looked.catch(() => known.delete(key))
  return looked
}

/** The user in a running container. Its files may differ from the image's: nothing is remembered. */
export async function userOfContainer(agent: () => Promise<Agent>, user: string | number | undefined): Promise<ContainerUser> {
  if (isRoot(user)) return root
  const inside = await agent()
  try {
    return await lookUpWith(inside, user ?? '')
  } finally {
    await inside.close()
  }
}
