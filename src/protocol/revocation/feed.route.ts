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
import { createFeed, resetEvent } from './feed.js'
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
    if (feed.isStopped() || feed.count(server.clientId) >= ctx.config.limits.revocationStreams) {
      throw new TemporarilyUnavailableError('The server takes no further listener of this client.', {
        reason: feed.isStopped() ? 'stopping' : 'streams_too_many',
        retryAfter: feed.isStopped() ? 1 : 5,
      })
    }
    // What another process has sent already is known here too, before anything is said.
    await ctx.revocations.refresh()
    const ahead =
      position !== undefined &&
      position > ctx.revocations.position() &&
      position > (await revocations.lastPosition(ctx.db))

    reply.hijack()
    const { raw } = reply
    const stream = openEventStream(raw, reply.getHeaders(), acceptsGzip(request.headers['accept-encoding']))
    if (ahead) return stream.end(resetEvent)
    feed.open({
      ...server,
      stream,
      after: position ?? ctx.revocations.position(),
      heartbeat: interval,
      onClose: (gone) => void raw.on('close', gone),
    })
  })
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
