import { paint } from './show.ts'

/** What `.help` and `--help` say of each command, in groups. */
export const commandHelp: readonly (readonly [group: string, commands: readonly (readonly [usage: string, text: string])[]])[] = [
  [
    'Look',
    [
      ['.plan EXPR', 'the system calls that an image, a builder or a container is made of'],
      ['.debug [EXPR]', 'a shell in the state before the build step that failed last, or in an image or a container'],
      ['.type EXPR', 'the type of an expression, and its documentation'],
      ['.doctor', 'what this machine can do, and what mends what it cannot'],
    ],
  ],
  [
    'Write',
    [
      ['.editor', 'type several lines; Ctrl-D runs them, Ctrl-C drops them'],
      ['.load FILE', 'run the lines of a file'],
      ['.save FILE', 'write the lines of this session to a file'],
      ['.break', 'drop the input that is not finished yet (Ctrl-C does too)'],
    ],
  ],
  [
    'Leave',
    [
      ['.exit', 'dispose of what the session holds, and leave (Ctrl-D, or Ctrl-C twice)'],
      ['.help', 'this list'],
    ],
  ],
]

export function helpText(colors: boolean): string {
  const groups = commandHelp.map(([group, commands]) => {
    const lines = commands.map(([usage, text]) => `  ${usage.padEnd(14)}${text}`)
    return [paint('bold', group, colors), ...lines].join('\n')
  })
  const start = [
    paint('bold', 'Start', colors),
    `  const app = image().from('host').run('echo hello > /greeting')`,
    `  (await app.exec(['cat', '/greeting'])).stdout`,
    `  await using box = await app.start({ cmd: ['sleep', '60'] })`,
  ].join('\n')
  const notes = [
    paint('bold', 'Good to know', colors),
    '  Every input is TypeScript; `await` and `import` work as they are; names may be declared again.',
    '  Tab completes, Tab Tab lists with types. `_` is the last value, `_error` the last error.',
    '  Ctrl-C gives up an `await`; pass `signal` to a call and it is aborted too.',
    '  `using` and `await using` last until the session ends.',
  ].join('\n')
  return [start, ...groups, notes].join('\n\n')
}

export const usage = `Usage: strake [options] [FILE.ts [arguments]]

Without a file, on a terminal: a TypeScript prompt with the library's names in scope.
With one, or with a script on standard input: runs it, with the same names in scope. (A file of JavaScript is run as Node runs it, and
imports the library by its name.)

  -e, --eval CODE     run CODE
  -p, --print CODE    run CODE and print the value of its last expression, awaited
  -                   the script is on standard input; arguments may follow
  --no-check          do not look for type errors (also: STRAKE_NO_CHECK=1)
  -v, --version       print the version
  -h, --help          print this

Exit code: the script's own; 1 for an uncaught error or a type error, 2 for a wrong option, 13 for an await that never ends.
`
