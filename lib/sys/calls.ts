import { optionCheck } from '../errors/index.ts'
import { type Op, opDefinitions } from './ops.gen.ts'

type Name = Op['op']
type OpOf<Call extends Name> = Extract<Op, { op: Call }>
type Fields<Call extends Name> = Omit<OpOf<Call>, 'op'>

/** Calls that have one argument worth naming may be given it as it is: `setHostname('box')`. */
const shorthands = {
  setHostname: 'name',
  setDomainname: 'name',
  linkUp: 'name',
  chroot: 'path',
  chdir: 'path',
  fchdir: 'fd',
  unshare: 'flags',
  umask: 'mask',
  setGroups: 'gids',
  umount: 'target',
  close: 'fd',
  removeTree: 'path',
  syncFs: 'path',
  stat: 'path',
  readDir: 'path',
  setDumpable: 'value',
  setDeathSignal: 'signal',
  controlTerminal: 'fd',
  capAmbient: 'set',
  capBounding: 'keep',
  setSecurebits: 'bits',
  unlink: 'path',
} as const satisfies Partial<Record<Name, string>>

type Shorthands = typeof shorthands
type Argument<Call extends Name> = Call extends keyof Shorthands
  ? Shorthands[Call] extends keyof Fields<Call>
    ? Fields<Call> | Fields<Call>[Shorthands[Call]]
    : Fields<Call>
  : Fields<Call>
type Arguments<Call extends Name> = Record<string, never> extends Fields<Call> ? [fields?: Argument<Call>] : [fields: Argument<Call>]
type Result<Call extends Name> = Call extends 'getPid' | 'waitId'
  ? Promise<number>
  : Call extends 'stat' | 'readDir'
    ? Promise<Uint8Array>
    : Promise<void>

/** Ops of a program that have no meaning as a call of their own: they end or replace the process that carries them out. */
const unfitNames = [
  'exec',
  'execFd',
  'init',
  'serve',
  'started',
  'join',
  'sendFd',
  'fork',
  'mapRing',
  'put',
  'listDir',
] as const satisfies readonly Name[]
const unfit: ReadonlySet<Name> = new Set(unfitNames)
type Unfit = (typeof unfitNames)[number]

/** Every system call of the interpreter, typed: each is carried out by the process that the object stands for. Rejects with `kernel_refused`, and with `invalid_argument` for a field that the call does not have. */
export type SystemCalls = { readonly [Call in Exclude<Name, Unfit>]: (...fields: Arguments<Call>) => Result<Call> }

/** The encoder reads the fields that it knows; here a `flag` in place of `flags` would be a call that does something else. */
function fieldsCheck(name: Name): (fields: unknown) => void {
  const names = ['op', 'tolerate', ...opDefinitions[name].fields.map((field) => field.name)]
  return optionCheck<Readonly<Record<string, unknown>>>(`sys.${name}`, Object.fromEntries(names.map((each) => [each, true as const])))
}

function opFrom(name: Name, check: (fields: unknown) => void, argument: unknown = {}): Op {
  const isFields = typeof argument === 'object' && argument !== null && !Array.isArray(argument) && !(argument instanceof Uint8Array)
  const short = (shorthands as Partial<Record<Name, string>>)[name]
  if (!isFields && short !== undefined) return { [short]: argument, op: name } as unknown as Op
  check(argument)
  return { ...(argument as object), op: name } as Op
}

/** The calls of a process that carries out ops by `run`. */
export function systemCalls(run: (op: Op) => Promise<unknown>): SystemCalls {
  const names = (Object.keys(opDefinitions) as Name[]).filter((name) => !unfit.has(name))
  return Object.fromEntries(
    names.map((name) => {
      const check = fieldsCheck(name)
      return [name, async (argument?: unknown) => await run(opFrom(name, check, argument))]
    }),
  ) as unknown as SystemCalls
}
