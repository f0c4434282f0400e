import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Server as TlsServer } from 'node:https'
import { type Socket, Server as SocketServer } from 'node:net'
import type { FastifyInstance } from 'fastify'

/**
 * Milliseconds in which a connection that is kept alive may bring one more request: it is served, and told that the
 * connection closes. What was idle for so long is cut.
 */
const lull = 1_000

/** Milliseconds between two looks for connections that have become idle since. */
const interval = 50

/** Milliseconds after which whoever is still sending or reading is cut. No answer of ours takes that long. */
const longest = 8_000

interface Connection {
  /** It has brought no request yet: Node does not count it as idle. */
  silent: boolean
  /**
   * The last one that is under way. Not in a set of all: a set that changes with each request is made anew again and again,
   * and those before, which live until V8 collects everything, hold what they held.
   */
  answer: ServerResponse | undefined
}

/**
 * Prepares a server for being closed without a request that gets no answer. To be called before it listens.
 *
 * Node's own `close` cuts idle connections at once, and a request that is on its way there is lost; it waits for those that
 * become idle later until their keep-alive time is over, and for those that never said anything. The answers must say
 * `Connection: close` meanwhile: Fastify's do so while it closes. RFC 9112 §9.6.
 *
 * @returns stops accepting connections, and waits until all have ended
 */
export function prepareDrain(server: Server): () => Promise<void> {
  const connections = new Map<Socket, Connection>()
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    connections.set(socket, { silent: true, answer: undefined })
    socket.once('close', () => connections.delete(socket))
  })
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(socket)
    if (!connection) return
    connection.silent = false
    connection.answer = response
    // What holds an answer holds its request too, and an idle connection is cheap.
    response.once('close', () => {
      if (connection.answer === response) connection.answer = undefined
    })
  })

  return async () => {
    if (!server.listening) return
    // What came before the stop, and is answered after it, must say so too: its client would think the connection open.
    for (const { answer } of connections.values()) if (answer) answer.shouldKeepAlive = false
    await acceptAll(server)
    let over = false
    const cut = (): void => {
      if (over) return
      for (const [socket, { silent }] of connections) if (silent) socket.destroy()
      server.closeIdleConnections()
      setTimeout(soon, interval)
    }
    // On a busy machine the time may be over while a request lies there unread: a turn of the event loop reads it.
    const soon = (): void => {
      setImmediate(() => setImmediate(cut))
    }
    setTimeout(soon, lull).unref()
    const late = setTimeout(() => server.closeAllConnections(), longest)
    // HTTP's close would cut what is idle now.
    await new Promise((resolve) => SocketServer.prototype.close.call(server, resolve))
    over = true
    clearTimeout(late)
  }
}

/**
 * Accepts what the system has taken for us already: those connections would be reset. A turn of the event loop accepts what
 * is there, so the last one has accepted nothing. Whoever comes between it and the close is reset all the same.
 */
async function acceptAll(server: Server): Promise<void> {
  let accepted = 0
  const count = (): void => {
    accepted++
  }
  server.on('connection', count)
  for (let turns = 0, before = -1; accepted !== before && turns < 100; turns++) {
    before = accepted
    // The first may run before the next poll, the second runs after it.
    await new Promise(setImmediate)
    await new Promise(setImmediate)
  }
  server.off('connection', count)
}

const FAREWELLS = 'farewells'

/** Before the drain: it would wait in vain for answers that end by themselves only after minutes. */
export function decorateFarewells(app: FastifyInstance): void {
  const farewells: (() => void)[] = []
  app.decorate(FAREWELLS, farewells)
  app.addHook('preClose', async () => {
    for (const say of farewells) say()
  })
}

/** Whoever sends an answer without an end says here how to end it when the server stops. */
export function onStop(app: FastifyInstance, farewell: () => void): void {
  app.getDecorator<(() => void)[]>(FAREWELLS).push(farewell)
}
