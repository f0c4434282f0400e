import type { Server } from 'node:http'
import { Server as TlsServer } from 'node:https'
import { type AddressInfo, createServer as createSocketServer, type Server as SocketServer } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Context } from '../context.js'
import { followCertificate } from '../platform/certificate.js'
import type { Config } from '../platform/config/index.js'
import { directAnswers } from './direct.js'
import { prepareDrain } from './drain.js'
import { createNodeServer } from './node-server.js'
import { refuseUnreadable } from './server.js'

export interface ListenOptions {
  /** Whether this process is the one that warns before the TLS certificate expires. */
  readonly warnsOfExpiry?: boolean
}

/**
 * Listens at HOST and PORT. `localhost` means both loopback addresses, whatever the machine's hosts file says: a client
 * that tries the other family first must find the server, too. A TLS certificate is exchanged when its files change.
 *
 * @returns how to stop: no new connection; what runs and what still comes over an open one is finished
 * @throws EADDRINUSE also where only one of the two is taken: half a server would be a riddle
 */
export async function listen(
  app: FastifyInstance,
  ctx: Pick<Context, 'config' | 'clock' | 'log'>,
  { warnsOfExpiry = true }: ListenOptions = {},
): Promise<() => Promise<void>> {
  const second = await listenAtAll(app, ctx.config)
  const { tls } = ctx.config.server
  const servers = [app.server, second?.server].filter((server) => server instanceof TlsServer)
  const follower = tls && followCertificate({ ...ctx, files: tls, servers, warns: warnsOfExpiry })
  return async () => {
    follower?.stop()
    await Promise.all([second?.drain(), app.close()])
    second?.server.close()
  }
}

interface SecondServer {
  readonly server: Server
  readonly drain: () => Promise<void>
}

/** @returns the second server, where there is one */
async function listenAtAll(app: FastifyInstance, config: Config): Promise<SecondServer | undefined> {
  const { host, port } = config.server
  if (host !== 'localhost') {
    await app.listen({ host, port })
    return undefined
  }
  await app.listen({ host: '127.0.0.1', port })
  const second = createSecondServer(app, config)
  try {
    await listenAt(second.server, '::1', (app.server.address() as AddressInfo).port)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // A machine without IPv6.
    if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') return undefined
    await app.close()
    throw error
  }
  return second
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
function createSecondServer(app: FastifyInstance, config: Config): SecondServer {
  const server = createNodeServer(directAnswers(app).listener, config.server)
  server.on('clientError', refuseUnreadable)
  return { server, drain: prepareDrain(server) }
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
