import { constants } from 'node:os'
import { StrakeError } from '../errors/index.ts'

/** Of two names for one number the first is meant: SIGABRT and not SIGIOT, SIGIO and not SIGPOLL. */
const signalNames = new Map<number, NodeJS.Signals>(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name as NodeJS.Signals]),
)

/** A signal by its name in signal(7); of the real-time ones by the distance from SIGRTMIN, which is 34 for all programs of glibc and musl. */
export type SignalName = NodeJS.Signals | `SIGRTMIN+${number}` | `SIGRTMIN-${number}`

const firstRealTime = 34
const firstOfKernel = 32
const lastSignal = 64

/** `9` → `SIGKILL`, `35` → `SIGRTMIN+1`. */
export function signalName(number: number): SignalName | null {
  if (number < firstOfKernel || number > lastSignal) return signalNames.get(number) ?? null
  const distance = number - firstRealTime
  return distance < 0 ? `SIGRTMIN-${-distance}` : `SIGRTMIN+${distance}`
}

/** The number of a signal by its name, or itself. Throws `invalid_argument`. */
export function signalNumber(signal: SignalName | number): number {
  const number = typeof signal === 'number' ? signal : (constants.signals[signal as NodeJS.Signals] ?? realTimeNumber(signal))
  if (Number.isInteger(number) && number > 0 && number <= lastSignal) return number
  throw new StrakeError('invalid_argument', `There is no signal ${String(signal)}.`, { hint: "Name it as signal(7) does: 'SIGTERM'." })
}

function realTimeNumber(name: unknown): number {
  if (name === 'SIGRTMIN') return firstRealTime
  const [, back] = /^SIGRTMAX(?:-(\d{1,2}))?$/.exec(String(name)) ?? [undefined, 'none']
  if (back !== 'none') return lastSignal - Number(back ?? 0)
  const [, sign, distance] = /^SIGRTMIN([+-])(\d{1,2})$/.exec(String(name)) ?? []
  if (distance === undefined) return 0
  return firstRealTime + (sign === '-' ? -1 : 1) * Number(distance)
}
