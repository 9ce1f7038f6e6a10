import { image } from '../../lib/index.ts'

// Builds three steps in the store of $STRAKE_ROOT, the middle one slow, and says of each whether it was cached: what a test runs at once, or kills.
const built = await image('host')
  .run('echo first > /first')
  .run(`echo slow > /slow; sleep ${process.env.STRAKE_TEST_SLOW ?? '1'}`)
  .run('cat /first /slow > /last')
  .build({
    onProgress: (event) => {
      if (event.type === 'start' || event.type === 'step') process.stdout.write(`${JSON.stringify({ ...event, durationMs: undefined })}\n`)
    },
  })
process.stdout.write(`${JSON.stringify({ type: 'built', digest: built.digest })}\n`)
