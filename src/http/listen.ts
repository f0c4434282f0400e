import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createSocketServer, type Server as SocketServer } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../platform/config/index.js'
import { tlsOptions } from '../platform/tls.js'
import { limits, refuseUnreadable } from './server.js'

/**
 * Listens at HOST and PORT. `localhost` means both loopback addresses, whatever the machine's hosts file says: a client
 * that tries the other family first must find the server, too.
 *
 * @returns how to stop: no new connection, what runs is finished
 * @throws EADDRINUSE also where only one of the two is taken: half a server would be a riddle
 */
export async function listen(app: FastifyInstance, config: Config): Promise<() => Promise<void>> {
  const { host, port } = config.server
  if (host !== 'localhost') {
    await app.listen({ host, port })
    return () => app.close()
  }
  await app.listen({ host: '127.0.0.1', port })
  const second = createSecondServer(app, config)
  try {
    await listenAt(second, '::1', (app.server.address() as AddressInfo).port)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // A machine without IPv6.
    if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') return () => app.close()
    await app.close()
    throw error
  }
  return async () => {
    const closed = new Promise((resolve) => second.close(resolve))
    second.closeIdleConnections()
    await Promise.all([closed, app.close()])
  }
}

/**
 * Tries whether HOST and PORT can be listened at, and lets go of them: before anything is done that the next start would
 * not do again.
 *
 * @throws what `listen` would, such as EADDRINUSE
 */
export async function tryPort({ server: { host, port } }: Config): Promise<void> {
  for (const address of host === 'localhost' ? ['127.0.0.1', '::1'] : [host]) {
    const server = createSocketServer()
    try {
      await listenAt(server, address, port)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (address === '::1' && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) continue
      throw error
    }
    await new Promise((resolve) => server.close(resolve))
  }
}

/** Fastify's own second listener for `localhost` would have neither our limits nor our answers to what cannot be read. */
function createSecondServer(app: FastifyInstance, { server: { tls, maxConnections } }: Config): Server {
  const { routing } = app
  const server: Server = tls
    ? createTlsServer({ ...limits, ...tlsOptions(tls.certFile, tls.keyFile) }, routing)
    : createServer(limits, routing)
  server.maxConnections = maxConnections
  server.on('clientError', refuseUnreadable)
  return server
}

function listenAt(server: SocketServer, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
