import { closeSync, readFileSync } from 'node:fs'
import { decodeRecords, type FileRecord, flags } from '../../lib/sys/index.ts'
import type { Agent } from '../../lib/zygote/index.ts'

const types = new Map([
  [0o140000, 'socket'],
  [0o120000, 'link'],
  [0o100000, 'file'],
  [0o060000, 'block'],
  [0o040000, 'dir'],
  [0o020000, 'char'],
  [0o010000, 'fifo'],
])

async function content(agent: Agent, path: Buffer): Promise<string> {
  const { fds } = await agent.run([
    { op: 'open', path, flags: flags.O.O_RDONLY, out: 'f' },
    { op: 'sendFd', fd: 'f', name: 'f' },
  ])
  const fd = fds.f as number
  try {
    return readFileSync(fd, 'latin1')
  } finally {
    closeSync(fd)
  }
}

/** A line for a file: what a test compares. Times only where they are not those of an implied directory or an entry without one. */
async function describe(agent: Agent, path: string, record: FileRecord): Promise<string> {
  const type = types.get(record.mode & 0o170000) ?? '?'
  if (type === 'char' && record.rdevMajor === 0 && record.rdevMinor === 0) return 'whiteout'
  const words = [type]
  if (type !== 'link') words.push((record.mode & 0o7777).toString(8))
  if (record.uid !== 0 || record.gid !== 0) words.push(`${record.uid}:${record.gid}`)
  if (record.nlink > 1 && type !== 'dir') words.push(`x${record.nlink}`)
  if (record.mtimeSec !== 0 || record.mtimeNsec !== 0) words.push(`@${record.mtimeSec}${record.mtimeNsec ? `+${record.mtimeNsec}` : ''}`)
  for (const [name, value] of record.xattrs)
    words.push(name === 'user.overlay.opaque' && value.toString() === 'y' ? 'opaque' : `${name}=${value.toString('hex')}`)
  if (type === 'link') words.push(`-> ${record.target.toString('latin1')}`)
  if (type === 'file' && record.size > 0)
    words.push(record.size <= 100 ? JSON.stringify(await content(agent, Buffer.from(path, 'latin1'))) : `${record.size} bytes`)
  return words.join(' ')
}

/** Everything under the root of an agent, by path (bytes as Latin-1), with the root itself as `/`. */
export async function readTree(agent: Agent): Promise<Record<string, string>> {
  const tree: Record<string, string> = {}
  const root = (await agent.run([{ op: 'stat', path: '/' }])).results[0] as Uint8Array
  tree['/'] = await describe(agent, '/', decodeRecords(root)[0] as FileRecord)
  const waiting = ['']
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const bytes = (await agent.run([{ op: 'readDir', path: Buffer.from(path || '/', 'latin1') }])).results[0] as Uint8Array
    for (const record of decodeRecords(bytes)) {
      const name = `${path}/${record.name.toString('latin1')}`
      tree[name.slice(1)] = await describe(agent, name, record)
      if ((record.mode & 0o170000) === 0o040000) waiting.push(name)
    }
  }
  return tree
}
