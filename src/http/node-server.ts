import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Config } from '../platform/config/index.js'
import { tlsOptions } from '../platform/tls.js'

/** What Node itself is told about requests, whichever address they arrive at. */
export const limits = {
  // A value of 32 KiB may stand in an address (`id_token_hint`, `request`), and Node counts that as header.
  maxHeaderSize: 48 * 1024,
  // Whoever sends slowly gets this long for the header, and for all of the request (attack 135).
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 5_000,
  // Longer than the 60 s after which load balancers close, so that it is they who do.
  keepAliveTimeout: 72_000,
  // Two readings of one message are how requests are smuggled (attack 123).
  insecureHTTPParser: false,
  requireHostHeader: true,
}

/**
 * Milliseconds after which whoever takes nothing of an answer is cut, or at the next turn of as many where something was
 * taken at the beginning: no timeout above ends it, and clients that read nothing would hold their connections for ever
 * (attack 135). Longer than any answer of ours is waited for.
 */
export const stalledTimeout = 30_000

/**
 * Requests of one connection that may wait behind another. Node stops reading where nobody takes the answers, but not before
 * all is parsed that has come with it: 64 KiB of short requests are some 1,500 of them, and 8 MB (attack 135). Who sends
 * more before it has heard is cut: no client that waits for its answers does.
 */
export const mostPipelined = 16

/** A server with these limits, over TLS where it is set. */
export function createNodeServer(
  handler: RequestListener,
  config: Pick<Config['server'], 'tls' | 'maxConnections'>,
): Server {
  const { tls, maxConnections } = config
  const bounded = boundPipeline(handler)
  const server: Server = tls
    ? createTlsServer({ ...limits, ...tlsOptions(tls) }, bounded)
    : createServer(limits, bounded)
  server.maxConnections = maxConnections
  // Their bytes are bounded. Past a number of them Node would drop the rest without a word, such as a second Authorization
  // that a proxy before us has read (attack 123).
  server.maxHeadersCount = 0
  server.setTimeout(stalledTimeout)
  return server
}

function boundPipeline(handler: RequestListener): RequestListener {
  const waiting = new WeakMap<Socket, number>()

  /** @returns false, and ends the connection, where too many wait there */
  function joins(socket: Socket, response: ServerResponse): boolean {
    const count = (waiting.get(socket) ?? 0) + 1
    if (count > mostPipelined) {
      socket.destroy()
      return false
    }
    waiting.set(socket, count)
    response.once('close', () => waiting.set(socket, (waiting.get(socket) ?? 1) - 1))
    return true
  }

  return (request, response) => {
    // An answer has a connection when those before it are sent: that of a request that came alone has it at once.
    if (response.socket === null && !joins(request.socket, response)) return
    handler(request, response)
  }
}
