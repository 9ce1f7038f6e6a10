// The figures that were promised, out of what was measured: each with its target, and whether it is reached.

const ms = (value) => `${value.toFixed(2)} ms`
const factor = (value) => `${value.toFixed(2)} ×`
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`

function figure(work, value, limit, show, { atLeast = false } = {}) {
  const isKnown = typeof value === 'number' && !Number.isNaN(value)
  return {
    work,
    value: isKnown ? value : null,
    shown: isKnown ? show(value) : 'not measured',
    target: `${atLeast ? '≥' : '≤'} ${show(limit)}`,
    reached: isKnown ? (atLeast ? value >= limit : value <= limit) : null,
  }
}

function ratio(times, one, other) {
  const [above, below] = [times?.[one]?.median, times?.[other]?.median]
  return above === undefined || below === undefined ? undefined : above / below
}

/** `runs`: what each measured process found, with its store's name and the size it was to have. */
export function figures(runs, npmStart) {
  const list = []
  for (const { store, size, times, blocked, throughput, memory } of runs) {
    const where = `Node of ${size} MB, ${store}`
    if (times) {
      const limit = size > 200 ? 0.15 : 1.5
      list.push(figure(`start → exit ÷ spawn (${where})`, ratio(times, 'strake exec', 'child_process.spawn'), limit, factor))
      if (times["strake exec, host's true"])
        list.push(
          figure(
            `… of the host's own true (${where})`,
            ratio(times, "strake exec, host's true", "child_process.spawn, host's true"),
            limit,
            factor,
          ),
        )
      if (times.bwrap) list.push(figure(`start → exit ÷ bwrap (${where})`, ratio(times, 'strake exec', 'bwrap'), 0.5, factor))
      if (times['strake exec in a running container'])
        list.push(figure(`exec in a running container (${where})`, times['strake exec in a running container'].median, 2, ms))
    }
    if (blocked)
      list.push(figure(`event loop blocked per start (${where})`, blocked.strake.median, 0.1, (value) => `${value.toFixed(3)} ms`))
    for (const [inFlight, found] of Object.entries(throughput ?? {})) {
      const quotient = found.strake / found['child_process.spawn']
      list.push(figure(`starts a second ÷ spawn's, ${inFlight} in flight (${where})`, quotient, 0.6, factor, { atLeast: true }))
    }
    if (memory) {
      list.push(figure('memory per container: its first process (PSS)', memory.init?.pss, 300e3, megabytes))
      list.push(figure('memory of the zygote (RSS)', memory.zygote?.rss, 1e6, megabytes))
    }
  }
  if (npmStart) {
    list.push(figure('npm start, fresh store', npmStart.fresh / 1000, 2, (value) => `${value.toFixed(2)} s`))
    list.push(figure('npm start, once more', npmStart.again / 1000, 2, (value) => `${value.toFixed(2)} s`))
  }
  return list
}
