import { existsSync } from 'node:fs'
import { defineConfig, type Options } from 'tsup'

/** The package's faces: each is an entry of `exports` in package.json. */
const faces = { index: 'lib/index.ts', sys: 'lib/sys/index.ts', testing: 'lib/testing/index.ts' }
/** Programs: the package's `bin`, and what `npm start` runs. */
const programs = { repl: 'repl/main.ts', quickstart: 'repl/quickstart.ts' }

function present(entries: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).filter(([, path]) => existsSync(path)))
}

const common: Options = {
  outDir: process.env.STRAKE_OUT ?? 'dist',
  platform: 'node',
  target: 'node20',
  // A dependency is loaded from node_modules; nothing of another package is copied into ours.
  skipNodeModulesBundle: true,
  splitting: true,
  sourcemap: true,
  clean: false,
  treeshake: false,
  shims: true,
  // What a person sees of a value has its class's name, not what the bundler made of it.
  keepNames: true,
}

const code: Options[] = [
  { ...common, entry: { ...present(faces), ...present(programs) }, format: ['esm'] },
  { ...common, entry: present(faces), format: ['cjs'] },
]

const types: Options[] = [
  {
    ...common,
    entry: present(faces),
    format: ['esm', 'cjs'],
    dts: { only: true, compilerOptions: { ignoreDeprecations: '6.0', stripInternal: true } },
  },
]

export default defineConfig(
  process.env.STRAKE_BUNDLE === 'code' ? code : process.env.STRAKE_BUNDLE === 'types' ? types : [...code, ...types],
)
