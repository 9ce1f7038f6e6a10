import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { bakeryLock } from '../../lib/store/index.ts'

// Counts up a number in a file, under the lock, as often as told; or takes the lock, says so, and keeps it.
const [path = '', file = '', times = ''] = process.argv.slice(2)

async function main(): Promise<void> {
  if (times === 'hold') {
    await bakeryLock(path)
    process.stdout.write('held\n')
    setInterval(() => {}, 1000)
    return
  }
  for (let each = 0; each < Number(times); each += 1) {
    const release = await bakeryLock(path)
    const value = Number(readFileSync(file, 'utf8'))
    await new Promise((resolve) => setImmediate(resolve))
    writeFileSync(file, String(value + 1))
    appendFileSync(`${file}.log`, `${process.pid}\n`)
    await release()
  }
}

await main()
