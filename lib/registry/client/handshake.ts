import { isIP } from 'node:net'
import { connect } from 'node:tls'
import { onAbort } from '../../errors/index.ts'

/** What OpenSSL says of a server that answers without TLS. By its code, or where Node gives none but EPROTO, by its words. */
const plainAnswer = /wrong[_ ]version[_ ]number|packet[_ ]length[_ ]too[_ ]long|http[_ ]request/i
/** What it says of one that answers with TLS, be it to refuse: an alert, a certificate, a version that is not taken. */
const tlsAnswer =
  /(^|\s)(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|HOSTNAME_MISMATCH|INVALID_CA|ERR_SSL_|EPROTO|ERR_OSSL_)|[_ ]alert[_ ]/i
/** The connection ended before there was any answer. */
const noAnswer = /unexpected[_ ]eof/i

/** Codes and messages of an error, and of those below it, in one line. */
export function wordsOf(error: unknown): string {
  const words: string[] = []
  for (let each = error, depth = 0; depth < 5 && each instanceof Error; each = each.cause, depth += 1) {
    if ('code' in each && typeof each.code === 'string') words.push(each.code)
    words.push(each.message)
    if (each instanceof AggregateError) words.push(wordsOf(each.errors[0]))
  }
  return words.join(' ')
}

/** Whether a failed request shows that TLS is spoken there, or that it is not; undefined where it shows neither. */
export function speaksTls(error: unknown): boolean | undefined {
  const words = wordsOf(error)
  if (plainAnswer.test(words)) return false
  return tlsAnswer.test(words) && !noAnswer.test(words) ? true : undefined
}

/**
 * Whether a host answers in TLS at all: by finishing a handshake, whatever its certificate, or by refusing to. A server that wants to see a certificate
 * often just ends the connection afterwards, which looks like one that knows no TLS.
 */
export async function answersInTls(url: URL, milliseconds: number, signal: AbortSignal | undefined): Promise<boolean> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return await new Promise<boolean>((resolve) => {
    const socket = connect({
      host,
      port: Number(url.port || 443),
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
    })
    const end = (answer: boolean): void => {
      forget()
      socket.destroy()
      resolve(answer)
    }
    const forget = onAbort(signal, () => end(false))
    socket.setTimeout(milliseconds, () => end(false))
    socket.once('secureConnect', () => end(true))
    socket.on('error', (error) => end(speaksTls(error) === true))
    socket.once('close', () => end(false))
  })
}
