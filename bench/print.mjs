// Tables for a terminal.

export function table(head, rows) {
  const all = [head, ...rows].map((row) => row.map(String))
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)))
  return all
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  '))
    .join('\n')
}

const ms = (value) => value.toFixed(2)

/** One table for each measured process: all trials side by side. */
export function printRun({ store, size, megabytes, times, blocked, throughput, memory, missing }) {
  console.log(`\n## Node of ${size} MB (was ${megabytes}), STRAKE_ROOT on ${store}\n`)
  if (times) {
    const base = times['child_process.spawn']?.median
    const rows = Object.entries(times).map(([name, { median, low, high, least, count, what }]) => [
      name,
      ms(median),
      `${ms(low)}–${ms(high)}`,
      ms(least),
      base ? (median / base).toFixed(2) : '',
      count,
      what,
    ])
    console.log(table(['start → exit of true', 'median ms', 'middle half', 'least', '÷ spawn', 'n', 'what'], rows))
  }
  if (blocked) {
    const rows = Object.entries(blocked).map(([name, { median, low, high }]) => [
      name,
      median.toFixed(3),
      `${low.toFixed(3)}–${high.toFixed(3)}`,
    ])
    console.log(`\n${table(['event loop blocked per start', 'median ms', 'middle half'], rows)}`)
  }
  if (throughput) {
    const rows = Object.entries(throughput).map(([inFlight, found]) => [
      `${inFlight} in flight`,
      ...Object.values(found).map((value) => value.toFixed(0)),
    ])
    console.log(`\n${table(['starts a second', 'strake', 'spawn'], rows)}`)
  }
  if (memory) {
    const kb = (bytes) => (bytes === undefined ? '?' : (bytes / 1e3).toFixed(0))
    console.log(
      `\n${table(
        ['memory, kB', 'PSS', 'RSS'],
        [
          ['first process of a container', kb(memory.init?.pss), kb(memory.init?.rss)],
          ['zygote', kb(memory.zygote?.pss), kb(memory.zygote?.rss)],
          [`its ${memory.spares?.count ?? 0} other children (spares, the remover), together`, kb(memory.spares?.pss), ''],
          ['kernel memory per container, its process included', kb(memory.kernel), ''],
        ],
      )}`,
    )
  }
  for (const { name, why } of missing) console.log(`\nNot measured: ${name}: ${why}`)
}

export function printFigures(list) {
  const rows = list.map(({ work, shown, target, reached }) => [work, shown, target, reached === null ? '?' : reached ? 'yes' : 'NO'])
  console.log(`\n## Figures\n\n${table(['work', 'measured', 'target', 'reached'], rows)}`)
}
