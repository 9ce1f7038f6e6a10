/** What a root directory has besides programs: made here, the same on every machine. Paths have no leading slash. */
export interface Furniture {
  readonly path: string
  /** Permissions, with the sticky bit where there is one. */
  readonly mode: number
  /** Content of a file; absent for a directory. */
  readonly content?: string
}

const passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`

const group = `root:x:0:
daemon:x:1:
bin:x:2:
tty:x:5:
www-data:x:33:
nogroup:x:65534:
`

const nsswitch = `passwd: files
group: files
shadow: files
hosts: files dns
services: files
protocols: files
`

const directories: readonly [path: string, mode: number][] = [
  ['dev', 0o755],
  ['etc', 0o755],
  ['home', 0o755],
  ['mnt', 0o755],
  ['opt', 0o755],
  ['proc', 0o555],
  ['root', 0o700],
  ['run', 0o755],
  ['srv', 0o755],
  ['sys', 0o555],
  ['tmp', 0o1777],
  ['usr', 0o755],
  ['usr/local', 0o755],
  ['usr/local/bin', 0o755],
  ['var', 0o755],
  ['var/cache', 0o755],
  ['var/lib', 0o755],
  ['var/log', 0o755],
  ['var/tmp', 0o1777],
]

const files: readonly [path: string, mode: number, content: string][] = [
  ['etc/group', 0o644, group],
  ['etc/hosts', 0o644, '127.0.0.1 localhost\n::1 localhost\n'],
  ['etc/nsswitch.conf', 0o644, nsswitch],
  ['etc/passwd', 0o644, passwd],
]

export const furniture: readonly Furniture[] = [
  ...directories.map(([path, mode]) => ({ path, mode })),
  ...files.map(([path, mode, content]) => ({ path, mode, content })),
]
