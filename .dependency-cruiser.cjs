// The rooms of the house and the floors they are on: a room imports only rooms on lower floors, and of another room only its index.ts.
// scripts/floors.json lists them from the ground up; ARCHITECTURE.md has the same table (test/house/rooms.test.ts keeps the two together).
const floors = require('./scripts/floors.json')

const folder = (room) => (room.endsWith('.ts') ? `^${room.replace('.', '\\.')}$` : `^${room}/`)

const oneWay = floors.flatMap((rooms, floor) =>
  rooms.flatMap((room) => {
    const notBelow = floors
      .slice(floor)
      .flat()
      .filter((other) => other !== room)
    // The top room may import all of them; a rule with an empty list would forbid everything.
    if (notBelow.length === 0) return []
    return [
      {
        name: `${room.replaceAll('/', '-').replace('.ts', '')}-stands-on-floor-${floor}`,
        comment: `${room} imports only rooms on floors below ${floor}`,
        severity: 'error',
        from: { path: folder(room) },
        to: { path: notBelow.map(folder) },
      },
    ]
  }),
)

const rooms = floors.flat().filter((room) => room.startsWith('lib/') && !room.endsWith('.ts'))

module.exports = {
  forbidden: [
    ...oneWay,
    {
      name: 'errors-stand-on-the-ground',
      comment: 'lib/errors imports nothing of the house, so that every room may import it',
      severity: 'error',
      from: { path: '^lib/errors/' },
      to: { path: '^(lib/(?!errors/)|native/|repl/)' },
    },
    {
      name: 'through-the-front-door',
      comment: 'another room is imported by its index.ts only',
      severity: 'error',
      from: { path: '^(lib/([^/]+)/|lib/[^/]+$|repl/|native/)' },
      to: { path: rooms.map((room) => `^${room}/(?!index\\.ts$)`), pathNot: '^lib/$2/' },
    },
    {
      name: 'every-room-has-a-floor',
      comment: 'a new folder of lib needs a place in the table above',
      severity: 'error',
      from: {},
      to: { path: '^lib/[^/]+/', pathNot: [...rooms.map(folder), '^lib/errors/'] },
    },
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    {
      name: 'only-what-users-get',
      comment: 'the library imports no package that its users do not get with it',
      severity: 'error',
      from: { path: '^(lib|repl|native)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'nothing-from-tests',
      comment: 'what is shipped needs no test, script, example or benchmark',
      severity: 'error',
      from: { path: '^(lib|repl|native)/' },
      to: { path: '^(test|scripts|examples|bench)/' },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^build/', '^dist/'] },
    exclude: { path: ['^(build|dist|prebuilds)/'] },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default', 'types'] },
  },
}
