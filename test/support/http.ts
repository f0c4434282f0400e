import { connect, type Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { createHttpServer } from '../../src/http/index.js'
import { loadConfig } from '../../src/platform/config/index.js'
import { createLogger } from '../../src/platform/log.js'
import { SeededRandom } from './random.js'

export interface BareServer {
  readonly app: FastifyInstance
  /** What was logged, parsed. */
  readonly logged: Record<string, unknown>[]
}

/** The HTTP server without any feature, for tests of what all of them stand on. The test closes it. */
export function bareServer(
  t: { teardown(close: () => unknown): void },
  env: Readonly<Record<string, string>> = {},
): BareServer {
  const logged: Record<string, unknown>[] = []
  const log = createLogger({
    level: 'info',
    pretty: false,
    destination: { write: (line) => logged.push(JSON.parse(line)) },
  })
  const app = createHttpServer({ config: loadConfig({ env }).config, log, random: new SeededRandom() })
  t.teardown(() => app.close())
  return { app, logged }
}

/** Listens on a free port of 127.0.0.1. */
export async function listenOnLoopback(app: FastifyInstance): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening')
  return address.port
}

/** Writes bytes to the port as they are, and gives everything that came back until the server closed. */
export function exchange(port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes)
  return everything(socket)
}

/** What comes over the connection until it is closed. A reset after an answer is a close. */
export function everything(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
    socket.on('error', (error) => (chunks.length > 0 ? undefined : reject(error)))
  })
}
