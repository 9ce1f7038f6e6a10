import assert from 'node:assert/strict'

/** struct seccomp_data, but for the instruction pointer. */
export interface SeccompData {
  readonly nr: number
  readonly arch: number
  readonly args?: readonly bigint[]
}

/** Runs a seccomp filter as the kernel would, refusing what its checker refuses; gives the value returned. */
export function emulate(filter: Uint8Array, data: SeccompData): number {
  const view = new DataView(filter.buffer, filter.byteOffset, filter.byteLength)
  const words = new DataView(new ArrayBuffer(64))
  words.setUint32(0, data.nr >>> 0, true)
  words.setUint32(4, data.arch >>> 0, true)
  for (const [index, value] of (data.args ?? []).entries()) words.setBigUint64(16 + 8 * index, value & 0xffffffff_ffffffffn, true)
  const length = filter.length / 8
  let accumulator = 0
  let at = 0
  for (;;) {
    assert.ok(at < length, 'ran off the end of the filter')
    const code = view.getUint16(at * 8, true)
    const [jt, jf] = [view.getUint8(at * 8 + 2), view.getUint8(at * 8 + 3)]
    const k = view.getUint32(at * 8 + 4, true)
    at += 1
    const jump = (holds: boolean): void => {
      at += holds ? jt : jf
    }
    switch (code) {
      case 0x20:
        assert.equal(k % 4, 0)
        accumulator = words.getUint32(k, true)
        break
      case 0x54:
        accumulator = (accumulator & k) >>> 0
        break
      case 0x05:
        at += k
        break
      case 0x15:
        jump(accumulator === k)
        break
      case 0x25:
        jump(accumulator > k)
        break
      case 0x35:
        jump(accumulator >= k)
        break
      case 0x06:
        return k
      default:
        assert.fail(`instruction ${code.toString(16)}`)
    }
  }
}

/** What bpf_check_classic and seccomp_check_filter of the kernel look at: known instructions, jumps inside, a RET at the end. */
export function checkFilter(filter: Uint8Array): void {
  const view = new DataView(filter.buffer, filter.byteOffset, filter.byteLength)
  const length = filter.length / 8
  assert.ok(Number.isInteger(length) && length > 0 && length <= 4096)
  for (let at = 0; at < length; at += 1) {
    const code = view.getUint16(at * 8, true)
    assert.ok([0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x06].includes(code))
    if (code === 0x05) assert.ok(at + view.getUint32(at * 8 + 4, true) + 1 < length)
    if ([0x15, 0x25, 0x35].includes(code)) {
      assert.ok(at + view.getUint8(at * 8 + 2) + 1 < length)
      assert.ok(at + view.getUint8(at * 8 + 3) + 1 < length)
    }
  }
  assert.equal(view.getUint16((length - 1) * 8, true), 0x06)
}
