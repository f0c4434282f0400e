import type { ServerResponse } from 'node:http'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { encodedQuery, onStop } from '../../http/index.js'
import {
  compileParameters,
  InvalidRequestError,
  readParameters,
  TemporarilyUnavailableError,
} from '../../oauth/index.js'
import { revocations } from '../../store/index.js'
import { acceptsGzip } from './accepts-gzip.js'
import { openEventStream } from './event-stream.js'
import { createFeed, type Feed, resetEvent } from './feed.js'
import { authorizeResourceServer, readPosition } from './resource-server.js'

const parse = compileParameters(
  Type.Object({ after: Type.Optional(Type.String()), heartbeat: Type.Optional(Type.String()) }),
)

/** Milliseconds between two heartbeats. */
const heartbeats = { least: 250, most: 10_000, usual: 2_000 }

/** `GET /revocations`: what is revoked, as it happens, to the resource server that it concerns. */
export function feedRoute(app: FastifyInstance, ctx: Context): void {
  const feed = createFeed(ctx)
  onStop(app, feed.stop)

  // A stream has no HEAD: nobody would read it.
  app.get('/revocations', { exposeHeadRoute: false }, async (request, reply) => {
    const server = await authorizeResourceServer(ctx, request)
    const { after, heartbeat } = parse(readParameters(encodedQuery(request)))
    const interval = readHeartbeat(heartbeat)
    const asked = [request.headers['last-event-id'] ?? after].flat()[0]
    const position = asked === undefined ? undefined : readPosition(asked)
    // What another process has sent already is known here too, before anything is said.
    await ctx.revocations.refresh()
    const ahead =
      position !== undefined &&
      position > ctx.revocations.position() &&
      position > (await revocations.lastPosition(ctx.db))
    const { raw } = reply
    // In the turn in which it begins: else many at once would all find room.
    const busy = whyNotNow(raw, feed, feed.count(server.clientId) < ctx.config.limits.revocationStreams)
    if (busy) throw busy

    reply.hijack()
    const stream = openEventStream(raw, reply.getHeaders(), acceptsGzip(request.headers['accept-encoding']))
    if (ahead) return stream.end(resetEvent)
    feed.open({
      ...server,
      stream,
      after: position ?? ctx.revocations.position(),
      heartbeat: interval,
      onClose: (gone) => whenGone(raw, gone),
    })
  })
}

/** @returns why there is no stream now: another time there may be one */
function whyNotNow(response: ServerResponse, feed: Feed, hasRoom: boolean): TemporarilyUnavailableError | undefined {
  if (feed.isStopped()) {
    return new TemporarilyUnavailableError('The server stops.', { reason: 'stopping', retryAfter: 1 })
  }
  if (!hasRoom) {
    const message = 'The server takes no further listener of this client.'
    return new TemporarilyUnavailableError(message, { reason: 'streams_too_many', retryAfter: 5 })
  }
  // It waits behind another answer, and would not be told when its connection is cut; or that was cut already.
  if (response.socket === null || response.socket.destroyed) {
    const message = 'The connection is not free for a stream.'
    return new TemporarilyUnavailableError(message, { reason: 'connection_not_free', retryAfter: 1 })
  }
  return undefined
}

/** By the answer, or by its connection: whichever tells it. The connection may live on, and forgets it then. */
function whenGone(response: ServerResponse, gone: () => void): void {
  const { socket } = response
  const once = (): void => {
    response.off('close', once)
    socket?.off('close', once)
    gone()
  }
  response.once('close', once)
  socket?.once('close', once)
}

function readHeartbeat(text: string | undefined): number {
  if (text === undefined) return heartbeats.usual
  const milliseconds = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (milliseconds >= heartbeats.least && milliseconds <= heartbeats.most) return milliseconds
  throw new InvalidRequestError(
    `The parameter heartbeat is not a number of milliseconds from ${heartbeats.least} to ${heartbeats.most}.`,
    { reason: 'heartbeat_out_of_range' },
  )
}
