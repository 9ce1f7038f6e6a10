// How a container is made, in two ways: the plan of one, printed before anything runs, and its main ideas by hand, one system call
// at a time.
//
//   npx tsx examples/exploring.ts
import { readlinkSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { image, ns, type Plan } from 'strake'

/** The program of system calls that would start `date` on this machine's own shell and tools. */
export function planOfDate(): Plan {
  return image().from('host').cmd(['date']).plan({ network: 'none' })
}

/** Makes namespaces and looks at them from inside. Tells what it sees by `say`. */
export async function explore(say: (line: string) => void): Promise<void> {
  // An agent process that lives in five new namespaces. It is uid 0 there, and an ordinary user here.
  await using box = await ns({ user: true, mount: true, uts: true, pid: true, network: true })
  for (const { name, id } of box.links) {
    const ours = readlinkSync(`/proc/self/ns/${name}`)
    say(`${name.padEnd(18)} ${id}${id === ours ? '  shared with us' : ''}`)
  }

  // uts_namespaces(7): a name that only processes in there see.
  await box.sys.setHostname('box')
  say(`hostname inside: ${(await box.exec('hostname')).stdout.trim()}`)

  // mount_namespaces(7): what is mounted here is nobody else's, and needs nobody's leave.
  await box.sys.mount({ source: 'tmpfs', target: '/mnt', type: 'tmpfs', data: 'size=1m' })
  await box.exec('echo private > /mnt/note', { check: true })
  say(`/mnt inside: ${(await box.exec('cat /mnt/note')).stdout.trim()}`)

  // pid_namespaces(7): /proc shows the processes of the namespace that it was mounted in.
  await box.sys.mount({ source: 'proc', target: '/proc', type: 'proc' })
  say(`processes inside: ${(await box.exec("ls /proc | grep -c '^[0-9]'")).stdout.trim()}`)

  // network_namespaces(7): no interface but loopback, and that is down.
  const devices = await box.exec("sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev")
  say(`network inside: ${devices.stdout.trim()}`)

  // user_namespaces(7): every capability, over these namespaces alone.
  say(`inside: ${(await box.exec("grep -E 'CapEff' /proc/self/status")).stdout.trim()}; uid ${(await box.exec('id -u')).stdout.trim()}`)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(String(planOfDate()))
  await explore((line) => console.log(line))
}
