import type { Escape } from './directives.ts'

/** A value between double quotes, so that a reader of the Dockerfile gets it back as it is. */
export function quoteValue(value: string, escaper: Escape): string {
  return `"${value.replace(/["$\\`]/g, (each) => (each === '"' || each === '$' || each === escaper ? escaper + each : each))}"`
}

/** A value as it is where it means nothing else, and else in quotes. */
export function valueText(value: string, escaper: Escape): string {
  return /^[\w./:@%+=,~^-]+$/.test(value) ? value : quoteValue(value, escaper)
}
