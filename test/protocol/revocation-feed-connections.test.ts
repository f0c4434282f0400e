import { Agent, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { feedToken, listenToFeed, portOf } from '../support/feed.js'
import { createTestServer, type TestClient, type TestServer } from '../support/server.js'
import { apiIdentifier, openScene, revokeAt } from '../support/tokens.js'

interface Arrived {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/** A server whose API may have two streams, and what arrives there. */
async function openStreams(t: Test, onArrival: (arrived: Arrived) => void = () => undefined) {
  const server = await createTestServer(t, { env: { REVOCATION_STREAMS: '2' } })
  const api = await server.createResource(apiIdentifier, 'read')
  const arrived: Arrived[] = []
  server.app.server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!request.url?.startsWith('/revocations')) return
    arrived.push({ request, response })
    onArrival({ request, response })
  })
  const token = await feedToken(server, api)
  const head = `GET /revocations?heartbeat=250 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`
  return { server, api, arrived, head }
}

/** A turn of the event loop after the other, since none of it is told. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate)
}

/** None counts that nobody can hear any more: both streams are to be had, and no third. */
async function hasRoomForTwo(t: Test, server: TestServer, api: TestClient): Promise<void> {
  const statuses = []
  for (let count = 0; count < 3; count++) statuses.push((await listenToFeed(t, server, api)).status)
  t.same(statuses, [200, 200, 503])
}

t.test('a stream that would wait behind another answer is refused', async (t) => {
  const { server, api, arrived, head } = await openStreams(t)
  const socket = connect(await portOf(server), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write(head + head)
  await until(() => arrived.length === 2 && arrived.every(({ response }) => response.headersSent))
  const [first, second] = arrived
  t.equal(first?.response.statusCode, 200)
  t.equal(second?.response.statusCode, 503)
  // Cut, the second is never told.
  const closed = new Promise((resolve) => first?.request.socket.once('close', resolve))
  socket.resetAndDestroy()
  await closed
  await hasRoomForTwo(t, server, api)
})

t.test('whoever is gone before the stream begins counts as nobody', async (t) => {
  let cut = true
  const { server, api, arrived, head } = await openStreams(t, ({ request }) => {
    if (cut) request.socket.destroy()
    cut = false
  })
  const socket = connect(await portOf(server), '127.0.0.1').on('error', () => undefined)
  t.teardown(() => socket.destroy())
  socket.write(head)
  await until(() => arrived.some(({ response }) => response.headersSent || response.writableEnded))
  await hasRoomForTwo(t, server, api)
})

t.test('many at once find no more room than one after the other', async (t) => {
  const { server, api } = await openStreams(t)
  const token = await feedToken(server, api)
  const eight = await Promise.all(Array.from({ length: 8 }, () => listenToFeed(t, server, api, { token })))
  t.equal(eight.filter(({ status }) => status === 200).length, 2)
})

t.test('streams that follow each other over one connection leave nothing there', async (t) => {
  const { server, api } = await openScene(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const counts: number[] = []
  const sockets = new Set<unknown>()
  server.app.server.on('request', ({ socket, url }: IncomingMessage, response: ServerResponse) => {
    if (!url?.startsWith('/revocations')) return
    sockets.add(socket)
    // Behind all others who are told.
    response.once('close', () => setImmediate(() => counts.push(socket.listenerCount('close'))))
  })
  for (let round = 0; round < 4; round++) {
    const token = await feedToken(server, api)
    const listener = await listenToFeed(t, server, api, { token, agent })
    await listener.untilHeartbeat()
    await revokeAt(server, api, token)
    t.equal(await listener.ended, true)
  }
  await until(() => counts.length === 4)
  t.equal(sockets.size, 1)
  t.same(counts, Array(4).fill(counts[0]))
})
