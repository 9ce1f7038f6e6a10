import { posix } from 'node:path'
import { Closure } from './closure.ts'
import { parseElf } from './elf.ts'
import { furniture } from './furniture.ts'
import { dataFiles, layoutLinks, runtimeLibraries, toolDirectories, tools } from './tools.ts'
import { HostTree, type Witness, witness } from './tree.ts'

/** One entry of the base: owned by root, its path without a leading slash, its times in whole seconds since 1970. */
export type BaseEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number; readonly mtime: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string; readonly mtime: number }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly mtime: number; readonly content: Buffer }

export interface AssembledBase {
  /** Parents before their children, otherwise sorted by the bytes of their paths. */
  readonly entries: readonly BaseEntry[]
  /** The files that it was made from, and the directories in which a new tool would appear. */
  readonly witnesses: readonly Witness[]
}

async function addTools(tree: HostTree, closure: Closure, directories: readonly string[]): Promise<string | undefined> {
  let shell: string | undefined
  for (const name of tools) {
    for (const directory of directories) {
      const path = posix.join(directory, name)
      const paths = await closure.of(path)
      if (!paths) continue
      for (const each of paths) tree.add(each)
      if (name === 'sh') shell = tree.add(path)
      break
    }
  }
  return shell
}

/** What the shell's C library loads by name, and links to libraries that only this machine's ld.so.conf leads to. */
async function addRuntime(tree: HostTree, closure: Closure, shell: string): Promise<void> {
  const elf = parseElf((await tree.read(shell)) ?? Buffer.alloc(0))
  if (!elf) return
  const libc = elf.needed.find((name) => name.startsWith('libc.'))
  const home = libc && (await closure.library(libc, elf))?.[0]
  for (const name of runtimeLibraries) for (const path of (await closure.library(name, elf)) ?? []) tree.add(path)
  if (!home) return
  // Without a cache file the linker looks where the C library itself lies, so that is where these have to be.
  for (const [name, path] of closure.configured) tree.addLink(posix.join(posix.dirname(home), name), path)
}

async function entriesOf(tree: HostTree): Promise<BaseEntry[]> {
  const entries = new Map<string, BaseEntry>()
  for (const entry of tree.entries.values()) {
    const path = entry.path.slice(1)
    if (entry.kind === 'directory') entries.set(path, { kind: 'directory', path, mode: 0o755, mtime: 0 })
    if (entry.kind === 'link') entries.set(path, { kind: 'link', path, target: entry.target, mtime: entry.mtime })
    if (entry.kind === 'file') {
      const content = await tree.read(entry.path)
      if (content) entries.set(path, { kind: 'file', path, mode: entry.executable ? 0o755 : 0o644, mtime: entry.mtime, content })
    }
  }
  for (const { path, mode, content } of furniture) {
    if (content === undefined) entries.set(path, { kind: 'directory', path, mode, mtime: 0 })
    else entries.set(path, { kind: 'file', path, mode, mtime: 0, content: Buffer.from(content) })
  }
  return [...entries.values()].sort((one, other) => Buffer.compare(Buffer.from(one.path), Buffer.from(other.path)))
}

/**
 * A small root directory made of this machine's own shell, core tools and the libraries they need. Nothing is executed, only
 * read. The same host files give the same entries, whoever asks: owners are root, modes are 0755 or 0644, times are the files' own.
 * `undefined` when there is no working `sh` among the files that this process may read.
 */
export async function assembleHostBase(root = '/'): Promise<AssembledBase | undefined> {
  const tree = new HostTree(root)
  const closure = new Closure(tree)
  for (const path of layoutLinks) if (tree.stats(path)?.isSymbolicLink()) tree.add(path)
  const shell = await addTools(tree, closure, toolDirectories)
  if (!shell) return undefined
  await addRuntime(tree, closure, shell)
  for (const path of dataFiles) {
    const found = tree.resolve(path)
    if (found && (await tree.read(found.real))) tree.add(path)
  }
  const watched = toolDirectories.flatMap((path) => {
    const real = tree.resolve(path)?.real
    const stats = real === undefined ? undefined : tree.stats(real)
    return real !== undefined && stats ? [witness(real, stats)] : []
  })
  return { entries: await entriesOf(tree), witnesses: [...watched, ...tree.witnesses()] }
}
