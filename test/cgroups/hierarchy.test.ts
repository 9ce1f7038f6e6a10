import * as assert from 'uvu/assert'
import { layoutOf } from '../../lib/cgroups/hierarchy.ts'
import { test } from '../support/uvu.ts'

const v2Mount = '30 22 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate'
const all = (): string[] => ['cpuset', 'cpu', 'io', 'memory', 'pids']

test('a unified machine is v2, and the own group is found in its mount', () => {
  const layout = layoutOf(v2Mount, '0::/user.slice/user-1000.slice/session-1.scope\n', all)
  assert.equal(layout, {
    kind: 'v2',
    hierarchy: { mountPoint: '/sys/fs/cgroup', own: '/sys/fs/cgroup/user.slice/user-1000.slice/session-1.scope' },
  })
})

test('a hybrid machine, whose cgroup2 has no controller of use, is v1', () => {
  const mountinfo = [
    '31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
    '34 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
    '37 30 0:34 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio',
    '39 30 0:36 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd',
    '40 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
  ].join('\n')
  const layout = layoutOf(mountinfo, '4:memory:/a/b\n2:cpu,cpuacct:/\n0::/\n', () => ['hugetlb'])
  assert.is(layout.kind, 'v1')
  if (layout.kind !== 'v1') return
  assert.equal(
    [...layout.hierarchies],
    [
      ['cpu', { mountPoint: '/sys/fs/cgroup/cpu,cpuacct', own: '/sys/fs/cgroup/cpu,cpuacct' }],
      ['cpuacct', { mountPoint: '/sys/fs/cgroup/cpu,cpuacct', own: '/sys/fs/cgroup/cpu,cpuacct' }],
      ['memory', { mountPoint: '/sys/fs/cgroup/memory', own: '/sys/fs/cgroup/memory/a/b' }],
      ['io', { mountPoint: '/sys/fs/cgroup/blkio', own: undefined }],
    ],
  )
})

test('in a container whose mount shows a part of the hierarchy, the own group is found in that part', () => {
  const mount = '30 22 0:27 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw'
  assert.equal(layoutOf(mount, '0::/docker/abc/x\n', all), {
    kind: 'v2',
    hierarchy: { mountPoint: '/sys/fs/cgroup', own: '/sys/fs/cgroup/x' },
  })
  assert.equal(layoutOf(mount, '0::/docker/abcdef\n', all), { kind: 'v2', hierarchy: { mountPoint: '/sys/fs/cgroup', own: undefined } })
})

test('a group outside of the cgroup namespace is not guessed at', () => {
  assert.equal(layoutOf(v2Mount, '0::/../elsewhere\n', all), { kind: 'v2', hierarchy: { mountPoint: '/sys/fs/cgroup', own: undefined } })
})

test('a mount point with spaces is read as it is', () => {
  const layout = layoutOf('30 22 0:27 / /mnt/my\\040groups rw - cgroup2 none rw', '0::/\n', all)
  assert.equal(layout, { kind: 'v2', hierarchy: { mountPoint: '/mnt/my groups', own: '/mnt/my groups' } })
})

test('no cgroup file system, or nonsense, is none', () => {
  assert.equal(layoutOf('', '', all), { kind: 'none' })
  assert.equal(layoutOf('22 1 254:0 / / rw - ext4 /dev/vda rw\nnonsense\n', '0::/\n', all), { kind: 'none' })
})

test.run()
