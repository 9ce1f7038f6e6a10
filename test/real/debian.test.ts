// test: timeout 900
// The main job on real input: Debian, its package manager, and a service out of what that installed.
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { BuildError, type Container, type Image, type ImageBuilder, image, store } from '../../lib/index.ts'
import { debianTar } from '../../scripts/debian.mjs'
import { has, idKind } from '../support/machine.ts'
import { skip } from '../support/skip.ts'
import { temporaryDirectory } from '../support/temporary.ts'
import { suite } from '../support/uvu.ts'

interface Place {
  readonly directory: string
  readonly tar: string
}

const test = suite<{ place: Place | undefined }>('debian', { place: undefined })
const directory = temporaryDirectory('debian')
process.env.STRAKE_ROOT = join(directory.path, 'store')

test.before((context) => {
  try {
    context.place = { directory: directory.path, tar: debianTar() }
  } catch (error) {
    skip(`no Debian to build upon: ${(error as Error).message}`)
  }
})

test.after(async () => {
  await store.remove()
  directory[Symbol.dispose]()
})

/** Builds, and shows what the step said when it fails. */
async function build(builder: ImageBuilder): Promise<Image> {
  try {
    return await builder.build()
  } catch (error) {
    if (error instanceof BuildError) process.stderr.write(String(error.details?.log))
    throw error
  }
}

/** The builds of this file share their first step: apt's lists are fetched once. */
function debian(tar: string): ImageBuilder {
  return image().from(tar).env({ DEBIAN_FRONTEND: 'noninteractive' }).run('apt-get update')
}

function withPython(tar: string): ImageBuilder {
  return debian(tar)
    .run('apt-get update && apt-get install -y --no-install-recommends python3-minimal')
    .copy({ 'srv/hello.txt': 'hello from inside\n', 'srv/serve.py': server }, '/')
    .cmd(['python3', '/srv/serve.py', '127.0.0.1', '8123'])
}

// python3-minimal has no http.server: a few lines of socket do.
const server = `
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print('listening', flush=True)
while True:
    peer, _ = listener.accept()
    peer.recv(65536)
    body = open('/srv/hello.txt', 'rb').read()
    peer.sendall(b'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(body) + body)
    peer.close()
`

const ask = `
import socket
peer = socket.create_connection(('127.0.0.1', 8123))
peer.sendall(b'GET /hello.txt HTTP/1.0\\r\\n\\r\\n')
answer = b''
while piece := peer.recv(65536): answer += piece
print(answer.decode().split('\\r\\n\\r\\n')[1], end='')
`

async function isListening(container: Container): Promise<void> {
  for await (const { text } of container.logs({ follow: true })) if (text === 'listening') return
  throw new Error('the server has ended')
}

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

test('apt-get installs python, which serves a copied file: asked for from inside, without a network', async ({ place }) => {
  if (!place) return
  const built = await build(withPython(place.tar))
  await using container = await built.start()
  await isListening(container)
  const asked = await container.exec(['python3', '-c', ask], { check: true })
  assert.is(asked.stdout, 'hello from inside\n')
  assert.is((await container.exec(['dpkg', '--audit'], { check: true })).stdout, '')
  const interfaces = await container.exec("sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev")
  assert.is(interfaces.stdout, 'lo\n')
})

test('with the network of the host it is asked for from outside', async ({ place }) => {
  if (!place) return
  const built = await build(withPython(place.tar))
  const port = await freePort()
  await using container = await built.start({ network: 'host', cmd: ['python3', '/srv/serve.py', '127.0.0.1', String(port)] })
  await isListening(container)
  assert.is(await (await fetch(`http://127.0.0.1:${port}/hello.txt`)).text(), 'hello from inside\n')
})

test('a snapshot of the running server has what was written since, serves it, and is a layer on the same image', async ({ place }) => {
  if (!place) return
  const built = await build(withPython(place.tar))
  await using container = await built.start()
  await isListening(container)
  await container.exec('echo changed > /srv/hello.txt; rm /etc/debian_version; mkdir -p /var/new/deep; dpkg -r --force-all gzip', {
    check: true,
  })
  const taken = await container.snapshot()
  assert.is(taken.layers.length, built.layers.length + 1)
  await using copy = await taken.start()
  await isListening(copy)
  assert.is((await copy.exec(['python3', '-c', ask], { check: true })).stdout, 'changed\n')
  const look = await copy.exec('ls -d /var/new/deep; command -v gzip; ls /etc/debian_version')
  assert.is(look.stdout, '/var/new/deep\n')
  assert.match(look.stderr, '/etc/debian_version')
  assert.is((await container.exec(['python3', '-c', ask], { check: true })).stdout, 'changed\n', 'the first one runs on')
})

test('packages that make users, give files away and set capabilities are installed, and what they made is in the layer', async ({
  place,
}) => {
  if (!place) return
  const names = 'cron iputils-ping openssh-client ssl-cert'
  const built = await build(debian(place.tar).run(`apt-get install -y --no-install-recommends ${names} libcap2-bin`))
  const look = async (command: string): Promise<string> => (await built.exec(command)).stdout.trim()
  assert.is(await look('dpkg --audit'), '')
  assert.is(await look(`dpkg-query -Wf '\${Status}\n' ${names} | sort -u`), 'install ok installed')
  assert.match(await look('cut -d: -f1 /etc/group | paste -sd,'), /crontab.*ssl-cert/)
  assert.match(await look('ping -c1 127.0.0.1'), '1 received')
  const owners = await look("stat -c '%U:%G %a' /etc/ssl/private/ssl-cert-snakeoil.key /var/spool/cron/crontabs /usr/bin/ssh-agent")
  if (idKind === 'single') {
    // There is one id: what was given away stays with root, whatever chown said.
    assert.is(owners, 'root:root 640\nroot:root 1730\nroot:root 2755')
  } else {
    assert.is(owners, 'root:ssl-cert 640\nroot:crontab 1730\nroot:_ssh 2755')
  }
})

test('umoci unpacks what apt-get installed', async ({ place }) => {
  if (!place) return
  if (!has('umoci')) return skip('umoci is not installed')
  const built = await build(withPython(place.tar))
  await built.tag('python:1')
  const bundle = join(place.directory, 'bundle')
  const rootless = idKind === 'root' ? [] : ['--rootless']
  execFileSync('umoci', ['unpack', ...rootless, '--image', `${store.root}/content:python:1`, bundle], { stdio: 'pipe' })
  const names = (root: string): string =>
    execFileSync('find', [root, '-xdev', '-printf', '%P %y %m %s %l\n'], { encoding: 'utf8', maxBuffer: 1 << 28 })
  const theirs = names(join(bundle, 'rootfs', 'usr'))
    .split('\n')
    .filter((line) => !/ d /.test(line))
    .sort()
  const inside = await built.exec(['find', '/usr', '-xdev', '-printf', '%P %y %m %s %l\\n'], { check: true })
  const ours = inside.stdout
    .split('\n')
    .filter((line) => !/ d /.test(line))
    .sort()
  assert.is(ours.length > 5000, true)
  assert.equal(ours, theirs)
})

test.run()
