import type { Escape } from './directives.ts'

/** A text with the escape before each character that `special` finds. */
function escaped(text: string, special: RegExp, escaper: Escape): string {
  return text.replace(special, (each) => ('`\\'.includes(each) && each !== escaper ? each : escaper + each))
}

/** A value between double quotes, so that a reader of the Dockerfile gets it back as it is. */
export function quoteValue(value: string, escaper: Escape): string {
  return `"${escaped(value, /["$\\`]/g, escaper)}"`
}

/** A value as it is where it means nothing else, and else in quotes. */
export function valueText(value: string, escaper: Escape): string {
  return /^[\w./:@%+=,~^-]+$/.test(value) ? value : quoteValue(value, escaper)
}

/** A word in which variables are expanded: quotes and dollar signs are escaped; white space stays. */
export function wordText(value: string, escaper: Escape): string {
  return escaped(value, /["'$\\`]/g, escaper)
}

/** A flag's value, from which quotes and escapes are taken before it is anything else. */
export function flagText(value: string, escaper: Escape): string {
  return escaped(value, /["'\\`\s]/g, escaper)
}
