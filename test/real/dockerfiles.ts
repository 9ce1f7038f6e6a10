// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a Dockerfile has substitutions of its own
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A Dockerfile as people have them, on Debian's packages, and the files beside it. */
export interface Project {
  readonly text: string
  readonly files: Readonly<Record<string, string>>
}

const manifest = { name: 'app', version: '1.0.0', private: true, type: 'module', dependencies: { debug: '4.4.0' } }

const lock = {
  name: 'app',
  version: '1.0.0',
  lockfileVersion: 3,
  requires: true,
  packages: {
    '': { name: 'app', version: '1.0.0', dependencies: { debug: '4.4.0' } },
    'node_modules/debug': {
      version: '4.4.0',
      integrity: 'sha512-6WTZ/IxCY/T6BALoZHaE4ctp9xm+Z5kY/pzYaCHRFeyVhojxlrm+46y68HA6hr0TcwEssoxNiDEUJQjfPZ/RYA==',
      dependencies: { ms: '^2.1.3' },
    },
    'node_modules/ms': {
      version: '2.1.3',
      integrity: 'sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA==',
    },
  },
}

/** Made as docker.io/library/node is: Node and npm in /usr/local, here those that run the tests. */
export const nodeBase = {
  program: 'FROM debian:12\nCOPY node /usr/local/bin/node\n',
  npm: [
    'FROM node:program',
    'COPY . /usr/local/lib/node_modules/npm',
    'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && npm --version',
    '',
  ].join('\n'),
}

/** `ca`, a secret, has the authorities of the machine that builds: Debian's smallest has none. */
export const node: Project = {
  text: `# syntax=docker/dockerfile:1
FROM node:npm AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
ARG NPM_CONFIG_REGISTRY
ENV NODE_EXTRA_CA_CERTS=/run/secrets/ca
RUN --mount=type=cache,target=/root/.npm \\
    --mount=type=secret,id=ca \\
    npm ci --omit=dev --no-audit --no-fund

FROM dependencies AS again
RUN rm -r node_modules
RUN --mount=type=cache,target=/root/.npm --network=none npm ci --offline --omit=dev --no-audit --no-fund

FROM node:npm
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY . .
EXPOSE 3000
HEALTHCHECK --interval=30s CMD node -e 0
CMD ["node", "server.js"]
`,
  files: {
    'package.json': JSON.stringify(manifest),
    'package-lock.json': JSON.stringify(lock),
    'server.js': "import debug from 'debug'\nconsole.log(typeof debug('app'), process.env.NODE_ENV)\n",
    '.dockerignore': 'node_modules\n.git\n**/*.log\n',
    'npm-debug.log': 'not wanted\n',
  },
}

export const python: Project = {
  text: `FROM debian:12
ENV PYTHONUNBUFFERED=1 \\
    PYTHONDONTWRITEBYTECODE=1
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \\
    apt-get update \\
    && apt-get install -y --no-install-recommends python3-yaml \\
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --system app && useradd --system --gid app --home-dir /app app
WORKDIR /app
COPY <<EOF config.yaml
greeting: hello
names: [one, two]
EOF
COPY --chmod=0644 app.py .
ARG VERSION=dev
LABEL org.opencontainers.image.version=$VERSION org.opencontainers.image.title="An app"
STOPSIGNAL SIGINT
ENTRYPOINT ["python3", "app.py"]
CMD ["config.yaml"]
`,
  files: {
    'app.py': "import sys, yaml\nconfig = yaml.safe_load(open(sys.argv[1]))\nprint(config['greeting'], *config['names'])\n",
  },
}

export const c: Project = {
  text: `ARG BASE=debian:12
FROM \${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
WORKDIR /src
COPY include include
COPY *.c ./
RUN <<EOF
set -e
gcc -O2 -static -Iinclude -o /out *.c
strip /out
/out build
EOF

FROM scratch
COPY --from=build --chmod=0555 /out /hello
ENTRYPOINT ["/hello"]
CMD ["world"]
`,
  files: {
    'include/greet.h': 'void greet(const char *);\n',
    'greet.c': '#include <stdio.h>\n#include <greet.h>\nvoid greet(const char *who) { printf("hello %s\\n", who); }\n',
    'main.c': '#include <greet.h>\nint main(int count, char **words) { greet(count > 1 ? words[1] : "nobody"); return 0; }\n',
  },
}

/** The sum of the numbers that come in, one a line. */
const sum = 'paste -sd+ | sed "s/.*/echo \\$((&))/" | sh'

/** A base, twenty-eight stages on it that do not need each other, and one that has the files of all: thirty. */
export function diamond(): string {
  const middle = Array.from({ length: 28 }, (_, at) => at + 1)
  return [
    'FROM debian:12 AS base',
    'RUN mkdir /out',
    ...middle.flatMap((each) => [`FROM base AS s${each}`, `RUN seq ${each} | ${sum} > /out/${each}`]),
    'FROM base',
    ...middle.map((each) => `COPY --from=s${each} /out/ /all/`),
    `RUN cat /all/* | ${sum} > /sum`,
    '',
  ].join('\n')
}

/** Writes it into a directory, and returns that. */
export function writeProject(directory: string, { text, files }: Project): string {
  for (const [name, content] of Object.entries({ Dockerfile: text, ...files })) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), content)
  }
  return directory
}

/** `count` files in two hundred directories, a tenth of which a .dockerignore leaves out, all but one. */
export function writeMany(directory: string, count: number): string {
  for (let at = 0; at < count; at += 1) {
    const place = join(directory, at % 10 === 0 ? 'ignored' : 'src', `d${at % 200}`)
    if (at < 200) mkdirSync(place, { recursive: true })
    writeFileSync(join(place, `f${at}`), `${at}\n`)
  }
  writeFileSync(join(directory, '.dockerignore'), 'ignored/**\n!ignored/d10/f10\n')
  writeFileSync(join(directory, 'Dockerfile'), 'FROM debian:12\nCOPY src/d1 /one\nCOPY . /all\nRUN find /all -type f | wc -l > /count\n')
  return directory
}
