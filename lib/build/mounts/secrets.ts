import { StrakeError } from '../../errors/index.ts'
import { hintOfRead, readShort } from '../../store/index.ts'
import { checkSecrets, maxSecretBytes, type SecretInput, type SecretSource } from '../secret.ts'

function refused(id: string, why: string, cause?: unknown): StrakeError {
  const hint = cause === undefined ? 'a secret is a text, { file } or { env }, of at most 500 KiB' : hintOfRead(cause)
  return new StrakeError('invalid_argument', `the secret ${JSON.stringify(id)} ${why}`, {
    cause,
    hint,
    details: { argument: `secrets.${id}` },
  })
}

async function readSecret(id: string, path: string): Promise<Buffer> {
  try {
    const value = await readShort(path, maxSecretBytes, (kind) => refused(id, `is to be in a file, and ${path} is ${kind}`))
    if (value.length > maxSecretBytes) throw refused(id, `is in a file of more than ${maxSecretBytes} bytes: ${path}`)
    return value
  } catch (error) {
    if (error instanceof StrakeError) throw error
    throw refused(id, `is in a file that cannot be read: ${path}`, error)
  }
}

/** The value of a secret: that of the step, else that of the build; undefined when neither gives it. Rejects with `invalid_argument`. */
export async function valueOfSecret(
  id: string,
  ofStep: Readonly<Record<string, SecretSource>> | undefined,
  ofBuild: Readonly<Record<string, SecretInput>> | undefined,
): Promise<Buffer | undefined> {
  const source = ofStep?.[id] ?? (ofBuild && checkSecrets(ofBuild)[id])
  switch (source?.kind) {
    case undefined:
      return undefined
    case 'value':
      return Buffer.from(source.value.reveal())
    case 'file':
      return await readSecret(id, source.path)
    case 'env': {
      const value = process.env[source.name]
      if (value === undefined) throw refused(id, `is to be in the variable ${source.name}, which is not set`)
      return Buffer.from(value)
    }
  }
}
