import { spawn } from 'node:child_process'
import { pipeline } from 'node:stream/promises'
import { StrakeError } from '../errors/index.ts'
import { type ByteStream, peek } from '../store/index.ts'
import { decompress, longestMagic, otherCompressionOf, ratioFloor, startOf } from './decompress.ts'
import { type LayerLimits, layerInvalid, limitExceeded, withDefaults } from './limits.ts'

/** A program of this machine that decompresses from its input to its output. */
interface Program {
  readonly name: string
  readonly args: readonly string[]
  readonly pack: string
}

/** What archives of root file systems may be compressed by and layers never are. Docker, too, has xz done by the program of that name. */
const programs: readonly Program[] = [
  {
    name: 'xz',
    args: ['--decompress', '--stdout', '--quiet', '--no-warn', '--memlimit-decompress=1GiB'],
    pack: 'xz-utils',
  },
  { name: 'bzip2', args: ['--decompress', '--stdout', '--quiet'], pack: 'bzip2' },
]

/**
 * Decompresses an archive that is no layer: gzip, zstd, xz, bzip2 or none, told by its first bytes. Rejects as `decompress` does; where this machine
 * has not the program that it takes, with `layer_invalid` whose details name the `program`.
 */
export async function* decompressArchive(content: ByteStream, limits: Partial<LayerLimits> = {}): AsyncGenerator<Buffer, void, void> {
  const { held, rest } = await peek(content, longestMagic)
  const program = programs.find(({ name }) => name === otherCompressionOf(startOf(held)))
  yield* program ? through(program, rest, withDefaults(limits)) : decompress(rest, limits)
}

async function* through({ name, args, pack }: Program, content: AsyncIterable<Uint8Array>, limits: LayerLimits): AsyncGenerator<Buffer> {
  const { layerBytes, compressionRatio } = limits
  let taken = 0
  let given = 0
  const child = spawn(name, args, { stdio: ['pipe', 'pipe', 'ignore'], env: { PATH: process.env.PATH } })
  const ended = new Promise<Error | number | null>((resolve) => child.once('error', resolve).once('close', resolve))
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of content) {
      taken += piece.length
      yield piece
    }
  }
  // What the program does not want to read any more is no failure of ours: its exit code tells.
  const fed = pipeline(counted, child.stdin).then(
    () => undefined,
    (error: NodeJS.ErrnoException) =>
      ['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED'].includes(error.code ?? '') ? undefined : error,
  )
  try {
    for await (const piece of child.stdout as AsyncIterable<Buffer>) {
      given += piece.length
      if (given > layerBytes) throw limitExceeded('layerBytes', layerBytes, 'bytes of the archive')
      if (given > ratioFloor && given > taken * compressionRatio)
        throw limitExceeded('compressionRatio', compressionRatio, 'bytes for each compressed byte')
      yield piece
    }
    const end = await ended
    if (end instanceof Error) throw notStarted(name, pack, end)
    const error = await fed
    if (error) throw error
    if (end !== 0) throw layerInvalid(`the ${name} data is damaged, cut short or followed by something else`)
  } finally {
    child.kill('SIGKILL')
    child.stdin.destroy()
    await fed
  }
}

function notStarted(name: string, pack: string, cause: Error): StrakeError {
  const isMissing = 'code' in cause && cause.code === 'ENOENT'
  const why = isMissing ? 'this machine has no such program' : 'that cannot be started'
  return new StrakeError('layer_invalid', `it is compressed by ${name}, and ${why}`, {
    cause,
    hint: `install it (Debian: apt-get install ${pack}), or compress the archive by gzip or zstd`,
    details: { program: name },
  })
}
