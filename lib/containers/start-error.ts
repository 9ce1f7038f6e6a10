import { StrakeError } from '../errors/index.ts'

/** What the kernel says of a working directory that cannot be one. */
const badPath: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG'])

const notExecutable = {
  EACCES: 'it is a directory, or has no permission to be executed',
  ENOEXEC: 'it is in no format that the kernel knows',
} as const

/** An op that failed, in the words of who gave the command. */
export function explainStart(error: unknown, argv: readonly string[], cwd: string | undefined): unknown {
  if (!(error instanceof StrakeError) || error.code !== 'kernel_refused') return error
  const { op, errno, arguments: asked } = error.details ?? {}
  if (op === 'exec' && (errno === 'EACCES' || errno === 'ENOEXEC')) {
    return new StrakeError('command_not_found', `The command '${argv[0] ?? ''}' cannot be executed: ${notExecutable[errno]}.`, {
      hint:
        errno === 'EACCES'
          ? "chmod +x in the image, or give it to an interpreter: ['sh', 'script']."
          : 'A script needs a first line such as #!/bin/sh; a program must be of this machine.',
      cause: error,
      details: { command: argv[0], errno },
    })
  }
  if (op === 'exec' && errno === 'ENOENT') {
    return new StrakeError('command_not_found', `The command '${argv[0] ?? ''}' does not exist in the container.`, {
      hint: argv[0]?.includes('/')
        ? 'Or the interpreter or loader that it names is missing in the image.'
        : 'It is looked for in the directories of PATH, inside the image; the interpreter or loader that it names must be there, too.',
      cause: error,
      details: { command: argv[0], errno },
    })
  }
  const path = (asked as { readonly path?: string } | undefined)?.path
  if (
    (op === 'chdir' || op === 'mkdir') &&
    cwd !== undefined &&
    path !== undefined &&
    `${cwd}/`.includes(`${path}/`) &&
    badPath.has(String(errno))
  ) {
    return new StrakeError('invalid_argument', `The working directory ${cwd.slice(0, 200)} cannot be used: ${String(errno)}.`, {
      cause: error,
      details: { cwd, errno },
    })
  }
  return error
}
