import type { CheckReport } from './check.ts'

/** No terminal sequences of a path or a file's contents in what is printed. */
function plain(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}

function mark(report: CheckReport): string {
  return report.ok ? '✓' : report.needed ? '✗' : '!'
}

/** A line for each check: a mark, its name, what was found; under what failed, the fix. ✗ containers do not run, ! they do with less. */
export function formatReports(reports: readonly CheckReport[]): string {
  const width = Math.max(0, ...reports.map((report) => report.name.length))
  const indent = ' '.repeat(width + 4)
  const lines = reports.flatMap((report) => {
    const line = `${mark(report)} ${plain(report.name).padEnd(width)}  ${plain(report.detail)}`
    return report.fix === undefined ? [line] : [line, `${indent}→ ${plain(report.fix)}`]
  })
  const failed = reports.filter((report) => !report.ok)
  const isFatal = failed.some((report) => report.needed)
  const verdict = isFatal
    ? 'Containers cannot run yet: mend what is marked ✗.'
    : failed.length > 0
      ? 'Containers run; with what is marked ! mended, better.'
      : 'Everything is there.'
  return [...lines, '', verdict].join('\n')
}
