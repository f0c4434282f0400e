import { type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIPv6, type LookupFunction, type Socket } from 'node:net'
import { version } from '../version.js'
import { OutboundError } from './errors.js'
import { bareHost } from './outbound-url.js'

export interface OutboundAnswer {
  readonly status: number
  /** Names in small letters; of a repeated one what Node.js makes of it. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

export interface Outgoing {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  /** Bytes of the answer. */
  readonly limit: number
  readonly signal: AbortSignal
}

/**
 * One request to the addresses that were pinned. It has a connection of its own: one that is kept would be to an address of
 * before. A redirect is an answer that is not taken: it would let whoever answers choose who is asked next.
 *
 * @throws {OutboundError}
 */
export function send(url: URL, addresses: readonly string[], outgoing: Outgoing): Promise<OutboundAnswer> {
  const { method, headers, body, signal } = outgoing
  const options: RequestOptions = {
    method,
    agent: false,
    host: bareHost(url),
    port: url.port || undefined,
    path: url.pathname + url.search,
    lookup: pinnedTo(addresses),
    headers: {
      // Bytes that unpack to more than was agreed on are not asked for (attack 138), nor taken.
      'Accept-Encoding': 'identity',
      'User-Agent': `ostiary/${version}`,
      Connection: 'close',
      ...headers,
      ...(body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }),
    },
    maxHeaderSize: 16_384,
    signal,
  }
  return new Promise((resolve, reject) => {
    const call = (url.protocol === 'https:' ? requestHttps : requestHttp)(options)
    const giveUp = (why: OutboundError): void => {
      reject(why)
      call.destroy()
    }
    const gone = (): void => reject(unreachable())
    call.on('response', (response) => {
      // From here on the answer itself says how it ends.
      call.off('close', gone)
      readAnswer(response, outgoing)
        .then(resolve, reject)
        .finally(() => call.destroy())
    })
    // Without a listener Node.js cuts the connection, and says no more than that it is closed.
    call.on('upgrade', (_response, socket) => {
      socket.destroy()
      giveUp(unreachable())
    })
    call.on('close', gone)
    call.on('error', (error) => reject(whyNot(error, signal)))
    call.on('socket', (socket) => boundReceived(socket, outgoing.limit, giveUp))
    call.end(body)
  })
}

/** How many times the bytes of an answer may come in all, with what frames them. */
const framing = 4

/** What is no part of the answer is endless too: hints before it (RFC 9110 §15.2), and extensions of chunks (RFC 9112 §7.1.1). */
function boundReceived(socket: Socket, limit: number, giveUp: (why: OutboundError) => void): void {
  let received = 0
  socket.on('data', (part: Buffer) => {
    received += part.length
    if (received > framing * limit) giveUp(tooLarge(limit))
  })
}

function pinnedTo(addresses: readonly string[]): LookupFunction {
  const known = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }))
  return (_host, options, callback) => {
    const [first] = known
    if (options.all) callback(null, known)
    else callback(null, first?.address ?? '', first?.family)
  }
}

async function readAnswer(response: IncomingMessage, { limit, signal }: Outgoing): Promise<OutboundAnswer> {
  const { statusCode: status = 0 } = response
  // A protocol that was not asked for, or no answer. RFC 9110 §15.2
  if (status < 200) throw unreachable()
  if (status >= 300 && status < 400) throw new OutboundError('outbound_redirect', 'The answer is a redirect.')
  const encoding = response.headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity') throw new OutboundError('outbound_encoded', 'The answer is compressed.')
  if (Number(response.headers['content-length'] ?? 0) > limit) throw tooLarge(limit)
  const parts: Buffer[] = []
  let length = 0
  try {
    for await (const part of response) {
      length += part.length
      if (length > limit) throw tooLarge(limit)
      parts.push(part)
    }
  } catch (error) {
    if (error instanceof OutboundError) throw error
    throw whyNot(error, signal)
  }
  return { status, headers: headersOf(response), body: Buffer.concat(parts) }
}

function tooLarge(limit: number): OutboundError {
  return new OutboundError('outbound_too_large', `The answer has more than ${limit} bytes.`)
}

function headersOf({ headers }: IncomingMessage): OutboundAnswer['headers'] {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )
}

function whyNot(error: unknown, signal: AbortSignal): OutboundError {
  if (signal.aborted) return new OutboundError('outbound_timeout', 'There was no answer in time.', { cause: error })
  const code = String((error as { code?: unknown } | undefined)?.code ?? '')
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_|EPROTO|HOSTNAME/.test(code)) {
    return new OutboundError('outbound_tls', 'The host has no certificate that is trusted here.', { cause: error })
  }
  return unreachable(error)
}

function unreachable(cause?: unknown): OutboundError {
  return new OutboundError('outbound_unreachable', 'The host cannot be reached.', { cause })
}
