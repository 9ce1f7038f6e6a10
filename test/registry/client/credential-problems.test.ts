// Credentials that could not be read, and a registry that would have wanted them: whatever it refuses by, the file or helper is named.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { StrakeError } from '../../../lib/errors/index.ts'
import { pullImage, pushImage, remoteTags } from '../../../lib/registry/index.ts'
import { amd64 } from '../../images/maker.ts'
import { test } from '../../support/uvu.ts'
import { type Desk, desk, failure, pretend, refuse, type Trick } from './pretender.ts'

const bearer = (host: string): Record<string, string> => ({ 'www-authenticate': `Bearer realm="http://${host}/token",service="x"` })

/** How registries refuse the nameless. */
const registries: Readonly<Record<string, (host: () => string) => Trick>> = {
  Basic: () => (_, response) => {
    refuse(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="x"' })
    return true
  },
  'no token': (host) => (request, response) => {
    refuse(response, 401, 'UNAUTHORIZED', request.path === '/token' ? {} : bearer(host()))
    return true
  },
  'a token that is good for nothing': (host) => (request, response) => {
    if (request.path === '/token') response.end('{"token":"x"}')
    else refuse(response, 401, 'UNAUTHORIZED', bearer(host()))
    return true
  },
  'a token, and 403': (host) => (request, response) => {
    if (request.path === '/token') response.end('{"token":"x"}')
    else if (request.headers.authorization) refuse(response, 403, 'DENIED')
    else refuse(response, 401, 'UNAUTHORIZED', bearer(host()))
    return true
  },
}

const problems: Readonly<Record<string, (here: Desk) => RegExp>> = {
  'a broken file': () => {
    mkdirSync(process.env.DOCKER_CONFIG as string, { recursive: true })
    writeFileSync(join(process.env.DOCKER_CONFIG as string, 'config.json'), '{broken')
    return /the credentials in .*config\.json cannot be read/
  },
  'a helper that fails': (here) => {
    writeFileSync(join(here.path, 'docker-credential-broken'), '#!/bin/sh\nexit 3\n')
    chmodSync(join(here.path, 'docker-credential-broken'), 0o755)
    process.env.PATH = `${here.path}:${process.env.PATH}`
    mkdirSync(process.env.DOCKER_CONFIG as string, { recursive: true })
    writeFileSync(join(process.env.DOCKER_CONFIG as string, 'config.json'), '{"credsStore":"broken"}')
    return /the credential helper "broken" failed: it ended with 3/
  },
}

for (const [how, trick] of Object.entries(registries))
  for (const [what, make] of Object.entries(problems))
    test(`${what}, and ${how} from the registry: the error says so, and is its cause`, async () => {
      await using registry = await pretend({ 'app:1': amd64 })
      registry.tricks.push(trick(() => registry.host))
      await using here = await desk()
      const message = make(here)
      const name = `${registry.host}/app:1`
      await here.store.blobs.put(amd64.blobs.get(amd64.descriptor.digest) as Buffer)
      for (const work of [
        () => pullImage(here.store, name, { retries: 0 }),
        () => pushImage(here.store, amd64 as never, name, { retries: 0 }),
        () => remoteTags(`${registry.host}/app`, { retries: 0 }),
      ]) {
        const error = await failure(work())
        assert.match(error.code, /^registry_(unauthorized|denied)$/)
        assert.match(error.hint ?? '', message)
        assert.match((error.cause as StrakeError).message, message)
      }
    })

test.run()
