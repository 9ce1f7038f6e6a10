import { readFile } from 'node:fs/promises'
import * as tls from 'node:tls'

/** Node 22.15 and later. */
interface WithAuthorities {
  readonly getCACertificates?: (of: 'default') => readonly string[]
}

/**
 * The certificate authorities that Node trusts where none are given: its own, and those of `NODE_EXTRA_CA_CERTS`. Giving one puts it in their place, so
 * that they have to be given, too.
 */
export async function usualAuthorities(
  { getCACertificates }: WithAuthorities = tls as WithAuthorities,
  env = process.env,
): Promise<readonly string[]> {
  if (getCACertificates) return getCACertificates('default')
  const file = env.NODE_EXTRA_CA_CERTS
  // Node itself merely warns of one that cannot be read.
  const extra = file ? await readFile(file, 'latin1').catch(() => undefined) : undefined
  return [...tls.rootCertificates, ...(extra === undefined ? [] : [extra])]
}
