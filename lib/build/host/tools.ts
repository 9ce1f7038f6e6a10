/** The programs of the host base; a host that lacks one has a base without it. */
// biome-ignore format: words, not a column
export const tools: readonly string[] = [
  'sh', 'bash', 'env',
  // coreutils (or busybox's, or whatever this machine has under these names)
  '[', 'arch', 'b2sum', 'base32', 'base64', 'basename', 'basenc', 'cat', 'chgrp', 'chmod', 'chown', 'chroot', 'cksum', 'comm', 'cp',
  'csplit', 'cut', 'date', 'dd', 'df', 'dir', 'dirname', 'du', 'echo', 'expand', 'expr', 'factor', 'false', 'fmt', 'fold', 'groups',
  'head', 'id', 'install', 'join', 'link', 'ln', 'logname', 'ls', 'md5sum', 'mkdir', 'mkfifo', 'mknod', 'mktemp', 'mv', 'nice', 'nl',
  'nohup', 'nproc', 'numfmt', 'od', 'paste', 'pathchk', 'pr', 'printenv', 'printf', 'pwd', 'readlink', 'realpath', 'rm', 'rmdir',
  'seq', 'sha1sum', 'sha224sum', 'sha256sum', 'sha384sum', 'sha512sum', 'shred', 'shuf', 'sleep', 'sort', 'split', 'stat', 'stdbuf',
  'stty', 'sum', 'sync', 'tac', 'tail', 'tee', 'test', 'timeout', 'touch', 'tr', 'true', 'truncate', 'tsort', 'tty', 'uname',
  'unexpand', 'uniq', 'unlink', 'users', 'vdir', 'wc', 'who', 'whoami', 'yes',
  // text and files
  'grep', 'egrep', 'fgrep', 'sed', 'awk', 'mawk', 'gawk', 'diff', 'cmp', 'find', 'xargs', 'which', 'tar', 'gzip', 'gunzip', 'zcat',
  'less', 'more', 'clear', 'hexdump', 'xxd',
  // processes
  'ps', 'kill', 'pgrep', 'pkill', 'free', 'uptime', 'setsid', 'flock', 'nsenter', 'unshare', 'taskset', 'renice', 'prlimit', 'setpriv',
  // the machine, users and the network
  'hostname', 'getent', 'getconf', 'ldd', 'mount', 'umount', 'mountpoint', 'findmnt', 'ip', 'ping', 'nc', 'lsns',
]

/** Where tools are looked for, in this order. */
export const toolDirectories: readonly string[] = ['/usr/bin', '/bin', '/usr/sbin', '/sbin']

/** Links of a merged /usr and the like: programs name paths through them, whether or not a tool was found by one. */
export const layoutLinks: readonly string[] = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/usr/lib64', '/usr/sbin']

/** Loaded by name at run time and so in no DT_NEEDED: name service of a glibc before 2.34, thread cancellation, what older programs need. */
export const runtimeLibraries: readonly string[] = [
  'libnss_files.so.2',
  'libnss_dns.so.2',
  'libresolv.so.2',
  'libgcc_s.so.1',
  'libpthread.so.0',
  'libdl.so.2',
  'librt.so.1',
  'libm.so.6',
]

/** Certificates of Debian, Fedora and Alpine; descriptions of terminals, where Debian, Fedora and Alpine have them. */
export const dataFiles: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
  '/etc/os-release',
  '/etc/services',
  '/etc/protocols',
  ...['/lib/terminfo', '/usr/share/terminfo', '/etc/terminfo'].flatMap((directory) =>
    ['d/dumb', 'l/linux', 's/screen', 's/screen-256color', 't/tmux-256color', 'v/vt100', 'x/xterm', 'x/xterm-256color'].map(
      (name) => `${directory}/${name}`,
    ),
  ),
]
