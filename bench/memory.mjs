// What containers take beyond their own processes: the PSS of their first process, and, where there is a memory cgroup to see it by, the
// kernel's memory; and what the zygote takes.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { median } from './statistics.mjs'

const containerCount = 20

function readOr(path, otherwise) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return otherwise
  }
}

/** Every descendant of this process: { pid, parent, command }. */
function descendants() {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({
      pid: Number(name),
      parent: Number(/^PPid:\s*(\d+)/m.exec(readOr(`/proc/${name}/status`, ''))?.[1] ?? 0),
      command: readOr(`/proc/${name}/cmdline`, '').split('\0')[0],
    }))
  const found = []
  for (let parents = [process.pid]; parents.length > 0; ) {
    const children = all.filter(({ parent }) => parents.includes(parent))
    found.push(...children)
    parents = children.map(({ pid }) => pid)
  }
  return found
}

/** Bytes: { pss, rss }. Undefined where this user may not look (the zygote's copies are not dumpable). */
function sizeOf(pid) {
  const text = readOr(`/proc/${pid}/smaps_rollup`, '')
  const field = (name) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1]) * 1024
  return text === '' ? undefined : { pss: field('Pss'), rss: field('Rss') }
}

/** A memory cgroup of this process's own, or undefined. To be entered before the zygote is made, which is charged where it is born. */
export function kernelMeter() {
  const place = '/sys/fs/cgroup/memory'
  const own = /^\d+:memory:(.*)$/m.exec(readOr('/proc/self/cgroup', ''))?.[1]
  if (own === undefined || !existsSync(join(place, own, 'memory.kmem.usage_in_bytes'))) return undefined
  const directory = join(place, own, `strake-bench-${process.pid}`)
  try {
    mkdirSync(directory)
    writeFileSync(join(directory, 'cgroup.procs'), String(process.pid))
  } catch {
    return undefined
  }
  return {
    read: () => Number(readFileSync(join(directory, 'memory.kmem.usage_in_bytes'), 'utf8')),
    leave: () => {
      for (const pid of readOr(join(directory, 'cgroup.procs'), '').split('\n').filter(Boolean)) {
        try {
          writeFileSync(join(place, own, 'cgroup.procs'), pid)
        } catch {
          // It has ended meanwhile.
        }
      }
      try {
        rmdirSync(directory)
      } catch {
        // A process that ends just now holds it: it is empty, and no harm.
      }
    },
  }
}

function settle(milliseconds = 300) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** Bytes. */
export async function measureMemory({ image, meter }) {
  const containers = []
  try {
    // The first start makes the zygote, its spares, and what is kept for good.
    await image.exec(['/bin/true'])
    await settle()
    const family = descendants()
    const zygotePid = family.find(({ parent }) => parent === process.pid)?.pid
    const spares = family.filter(({ parent }) => parent === zygotePid)
    const zygote = zygotePid === undefined ? undefined : sizeOf(zygotePid)
    const spareSizes = spares.map(({ pid }) => sizeOf(pid)).filter(Boolean)
    const before = meter?.read()
    for (let count = 0; count < containerCount; count += 1) containers.push(await image.start({ cmd: ['/bin/pause'] }))
    await settle()
    const after = meter?.read()
    const mains = new Set(containers.map(({ pid }) => pid))
    const firsts = new Set(
      descendants()
        .filter(({ pid }) => mains.has(pid))
        .map(({ parent }) => parent),
    )
    const inits = [...firsts].map((pid) => sizeOf(pid)).filter(Boolean)
    return {
      containers: containerCount,
      init: inits.length > 0 ? { pss: median(inits.map(({ pss }) => pss)), rss: median(inits.map(({ rss }) => rss)) } : undefined,
      zygote,
      spares: spareSizes.length > 0 ? { count: spareSizes.length, pss: spareSizes.reduce((sum, { pss }) => sum + pss, 0) } : undefined,
      kernel: before === undefined || after === undefined ? undefined : (after - before) / containerCount,
    }
  } finally {
    for (const container of containers) await container.remove()
  }
}
