import { StrakeError } from '../errors/index.ts'

/** Where a command was to run, for the words of an error. */
export interface Whereabouts {
  /** The working directory, where the options say none. */
  readonly cwd: string
  /** Whose files it has: a container's, or those that the agent of `ns()` sees. */
  readonly place: 'container' | 'namespaces'
}

/** What the kernel says of a working directory that cannot be one. */
const badPath: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG'])

interface Reason {
  /** `the command 'x' …` */
  readonly what: string
  readonly hint: string
}

const interpreterHint = 'The interpreter or loader that it names must be there, too.'

/** Why execve(2) did not take the command; undefined for what is not the command's own fault. */
function reasonOf(errno: unknown, argv0: string, place: Whereabouts['place']): Reason | undefined {
  const [there, inside] = place === 'container' ? ['in the container', 'inside the image'] : ['here', 'as the namespaces see it']
  const isPath = argv0.includes('/')
  switch (errno) {
    case 'ENOENT':
      return {
        what: `does not exist ${there}`,
        hint: isPath ? interpreterHint : `It is looked for in the directories of PATH, ${inside}. ${interpreterHint}`,
      }
    case 'ENOTDIR':
      return { what: `does not exist ${there}: a part of its path is a file`, hint: isPath ? interpreterHint : 'Look at PATH.' }
    case 'EACCES':
      return isPath
        ? {
            what: 'cannot be executed: it is a directory, or has no permission to be executed',
            hint: "chmod +x, or give it to an interpreter: ['sh', 'script'].",
          }
        : {
            what: 'cannot be executed: no directory of PATH has it with the permission to be executed, and one may not be entered',
            hint: `Look at PATH, ${inside}; chmod +x the file, or give it to an interpreter: ['sh', 'script'].`,
          }
    case 'ENOEXEC':
      return {
        what: 'cannot be executed: it is in no format that the kernel knows',
        hint: 'A script needs a first line such as #!/bin/sh; a program must be of this machine.',
      }
    case 'ELOOP':
      return {
        what: 'cannot be executed: its links, or the interpreters that its scripts name, go round in a circle',
        hint: 'Look at its first line (#!) and at symbolic links; an interpreter that is a script may name others, five at most (execve(2)).',
      }
    case 'ENAMETOOLONG':
      return {
        what: `does not exist ${there}: its name is too long`,
        hint: 'A name may have 255 bytes, a path 4095. A string goes to the shell: exec("…").',
      }
    case 'ELIBBAD':
    case 'EISDIR':
      return {
        what: 'cannot be executed: the interpreter or loader that it names is none',
        hint: 'Look at its first line (#!) or its ELF interpreter.',
      }
    default:
      return undefined
  }
}

function badDirectory(errno: unknown, cwd: string, isAsked: boolean, cause: StrakeError): StrakeError {
  return new StrakeError('invalid_argument', `The working directory ${cwd.slice(0, 200)} cannot be used: ${String(errno)}.`, {
    hint: isAsked ? undefined : "It is that of the image, or of the container. Give another: { cwd: '/' }.",
    cause,
    details: { cwd, errno },
  })
}

/** Of a command whose agent ended before it. */
export function lost({ place }: Whereabouts): StrakeError {
  return place === 'container'
    ? new StrakeError('zygote_lost', 'The process that held the container was killed, and the container with it.', {
        hint: 'Start it again.',
      })
    : new StrakeError('zygote_lost', 'The process that held the namespaces has ended, and the command with it.', {
        hint: 'Make them again: ns({ … }). A call that closes its files, kills it or lets it open none ends it.',
      })
}

/** Node's own error for too many open files, as the one that everything else gives for them; any other as it is. */
export function withCode(error: unknown): unknown {
  const { code } = error instanceof Error && !(error instanceof StrakeError) ? (error as NodeJS.ErrnoException) : {}
  return code === 'EMFILE' || code === 'ENFILE' ? fewFiles(code, error) : error
}

export function fewFiles(errno: 'EMFILE' | 'ENFILE', cause?: unknown): StrakeError {
  return new StrakeError('limit_exceeded', 'This process has too many open files.', {
    hint: 'Raise its limit: ulimit -n (`await doctor()` tells how for good).',
    cause,
    details: { errno },
  })
}

/** An op that failed, in the words of who gave the command. `cwd` is that of the options. */
export function explainStart(error: unknown, argv: readonly string[], cwd: string | undefined, where: () => Whereabouts): unknown {
  if (!(error instanceof StrakeError) || error.code !== 'kernel_refused') return error
  const { op, errno, arguments: asked } = error.details ?? {}
  const command = argv[0] ?? ''
  if (op === 'exec') {
    const reason = reasonOf(errno, command, where().place)
    if (reason === undefined) return error
    const shown = command.length > 200 ? `${command.slice(0, 200)}…` : command
    return new StrakeError('command_not_found', `The command '${shown}' ${reason.what}.`, {
      hint: reason.hint,
      cause: error,
      details: { command, errno },
    })
  }
  if ((op !== 'chdir' && op !== 'mkdir') || !badPath.has(String(errno))) return error
  const path = (asked as { readonly path?: string } | undefined)?.path
  const directory = cwd ?? where().cwd
  // To `/` every start goes, whatever its working directory.
  const isOfIt = path !== undefined && (path !== '/' || cwd !== undefined) && `${directory}/`.startsWith(`${path}/`)
  return isOfIt ? badDirectory(errno, directory, cwd !== undefined, error) : error
}
