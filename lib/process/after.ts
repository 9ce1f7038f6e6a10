/** What setTimeout takes: it does at once what is to be done later than in 2^31 - 1 milliseconds. */
const longest = 2 ** 31 - 1

/** Does `work` once, so many milliseconds from now, however many: never for Infinity. Returns what calls it off. */
export function after(milliseconds: number, work: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const arm = (left: number): void => {
    timer = left > longest ? setTimeout(() => arm(left - longest), longest) : setTimeout(work, left)
  }
  if (milliseconds !== Number.POSITIVE_INFINITY) arm(milliseconds)
  return () => clearTimeout(timer)
}
