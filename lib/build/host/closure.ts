import { posix } from 'node:path'
import { type ElfFile, parseElf } from './elf.ts'
import type { HostTree } from './tree.ts'

/** Directories that ld.so(8) searches without being told, of multiarch Debian, Fedora, Arch and musl. */
function defaultDirectories(elf: ElfFile): string[] {
  const triplets: Record<string, string> = {
    '62': 'x86_64-linux-gnu',
    '183': 'aarch64-linux-gnu',
    '3': 'i386-linux-gnu',
    '40': 'arm-linux-gnueabihf',
    '243': 'riscv64-linux-gnu',
  }
  const triplet = triplets[String(elf.machine)]
  const multiarch = triplet ? [`/lib/${triplet}`, `/usr/lib/${triplet}`] : []
  const wide = elf.bits === 64 ? ['/lib64', '/usr/lib64'] : []
  return [...multiarch, ...wide, '/lib', '/usr/lib']
}

function isSameKind(one: ElfFile, other: ElfFile): boolean {
  return one.bits === other.bits && one.machine === other.machine
}

/** A library as it was asked for, and the paths that the base needs for it. */
interface Library {
  readonly path: string
  readonly elf: ElfFile
  /** Set when it was found neither by a path in the file that asked nor in a default directory. */
  readonly isConfigured: boolean
}

/**
 * Finds what a program needs to run: its interpreter or dynamic linker, and its libraries, with theirs. Follows ld.so(8):
 * DT_RPATH (when there is no DT_RUNPATH), DT_RUNPATH, then the directories of ld.so.conf and the default ones.
 */
export class Closure {
  readonly #tree: HostTree
  readonly #known = new Map<string, Promise<readonly string[] | undefined>>()
  readonly #parsed = new Map<string, Promise<ElfFile | undefined>>()
  #configured: Promise<readonly string[]> | undefined
  /** Libraries that only ld.so.conf leads to, by name: the base needs a link to each where its linker looks by itself. */
  readonly configured = new Map<string, string>()

  constructor(tree: HostTree) {
    this.#tree = tree
  }

  /** The paths that the base needs for `path` to run, itself included; undefined when it cannot run (something is missing or unreadable). */
  of(path: string): Promise<readonly string[] | undefined> {
    const found = this.#tree.resolve(path)
    if (!found) return Promise.resolve(undefined)
    let paths = this.#known.get(found.real)
    if (!paths) {
      paths = this.#compute(found.real)
      this.#known.set(found.real, paths)
    }
    return paths.then((rest) => rest && [path, ...rest])
  }

  /** The path of the library `name` as the file `asker` would get it, with its own closure. */
  async library(name: string, asker: ElfFile): Promise<readonly string[] | undefined> {
    const found = await this.#find(name, '/', asker)
    return found && this.#withLibraries(found.path, found.elf)
  }

  async #compute(real: string): Promise<readonly string[] | undefined> {
    const bytes = await this.#tree.read(real)
    if (!bytes) return undefined
    if (bytes.toString('latin1', 0, 2) === '#!') return this.#script(bytes)
    const elf = parseElf(bytes)
    return elf ? this.#withLibraries(real, elf) : undefined
  }

  /** `#!/usr/bin/env bash` needs env and bash; see execve(2). */
  async #script(bytes: Buffer): Promise<readonly string[] | undefined> {
    const line = bytes.toString('latin1', 2, 256).split('\n', 1)[0] ?? ''
    const [interpreter = '', argument] = line.trim().split(/\s+/)
    // A script of a large language (perl, python) would bring that language along: only what the shell's tools interpret.
    if (!/\/(env|sh|bash|dash|ash|busybox|awk|sed)$/.test(interpreter)) return undefined
    if (posix.basename(interpreter) === 'env' && !/^(sh|bash|dash|awk)$/.test(argument ?? '')) return undefined
    return this.of(interpreter)
  }

  async #withLibraries(real: string, first: ElfFile): Promise<readonly string[] | undefined> {
    const paths = new Set<string>([real])
    const queue: { path: string; elf: ElfFile }[] = [{ path: real, elf: first }]
    if (first.interpreter) paths.add(first.interpreter)
    for (let next = queue.shift(); next; next = queue.shift()) {
      for (const name of next.elf.needed) {
        const found = await this.#find(name, posix.dirname(next.path), next.elf)
        if (!found) return undefined
        if (found.isConfigured) this.configured.set(name, found.path)
        if (paths.has(found.path)) continue
        paths.add(found.path)
        queue.push({ path: this.#tree.resolve(found.path)?.real ?? found.path, elf: found.elf })
      }
    }
    for (const path of paths) if (!this.#tree.resolve(path)) return undefined
    return [...paths]
  }

  async #find(name: string, origin: string, asker: ElfFile): Promise<Library | undefined> {
    if (name.includes('/')) return this.#open(name, asker, false)
    const own = (asker.runpath.length > 0 ? asker.runpath : asker.rpath).map((path) => path.replaceAll(/\$ORIGIN|\$\{ORIGIN\}/g, origin))
    const defaults = defaultDirectories(asker)
    for (const directory of [...own, ...defaults]) {
      const found = await this.#open(posix.join(directory, name), asker, false)
      if (found) return found
    }
    for (const directory of await this.#configuredDirectories()) {
      const found = await this.#open(posix.join(directory, name), asker, true)
      if (found) return found
    }
    return undefined
  }

  async #open(path: string, asker: ElfFile, isConfigured: boolean): Promise<Library | undefined> {
    const found = this.#tree.resolve(path)
    const elf = found && (await this.#parse(found.real))
    return elf && isSameKind(elf, asker) ? { path, elf, isConfigured } : undefined
  }

  #parse(real: string): Promise<ElfFile | undefined> {
    const known = this.#parsed.get(real)
    if (known) return known
    const elf = this.#tree.read(real).then((bytes) => bytes && parseElf(bytes))
    this.#parsed.set(real, elf)
    return elf
  }

  #configuredDirectories(): Promise<readonly string[]> {
    this.#configured ??= this.#readConfiguration()
    return this.#configured
  }

  /** /etc/ld.so.conf and the files of its usual `include /etc/ld.so.conf.d/*.conf`; musl's /etc/ld-musl-*.path. */
  async #readConfiguration(): Promise<readonly string[]> {
    const names = ['/etc/ld.so.conf', ...this.#tree.list('/etc/ld.so.conf.d').filter((path) => path.endsWith('.conf'))]
    const musl = this.#tree.list('/etc').filter((path) => /\/ld-musl-.*\.path$/.test(path))
    const texts = await Promise.all([...names, ...musl].map(async (path) => (await this.#tree.read(path))?.toString('latin1') ?? ''))
    const lines = texts.flatMap((text) => text.split(/[\n:]/)).map((line) => line.trim())
    // The last is a default of musl's, and configured everywhere else.
    return [...lines.filter((line) => line.startsWith('/')), '/usr/local/lib']
  }
}
