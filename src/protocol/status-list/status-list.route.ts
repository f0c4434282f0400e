import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from '../../context.js'
import { cachedDocument, encodedQuery, HttpError, sendCached } from '../../http/index.js'
import { readListName, statusListsPath } from '../../revocation/index.js'
import { acceptsGzip, acceptsType } from './accept.js'
import { createStatusListDocuments } from './documents.js'

const mediaType = 'application/statuslist+jwt'

/**
 * `GET /status-lists/ID` (Token Status List §8.1, §8.2) and the addresses of all lists (§9.3). Also where they are turned off:
 * tokens from before may be alive.
 */
export function statusListRoutes(app: FastifyInstance, ctx: Context): void {
  const documents = createStatusListDocuments(ctx)
  const secondsLeft = (until: number): number => Math.max(0, Math.floor((until - ctx.clock.now().getTime()) / 1000))

  app.get<{ Params: { id: string } }>(`${statusListsPath}/:id`, async (request, reply) => {
    reply.header('Vary', 'Accept, Accept-Encoding, Origin')
    refuseHistory(request)
    if (!acceptsType(request.headers.accept, mediaType)) {
      throw new HttpError(406, `Status lists are ${mediaType}.`, { reason: 'not_acceptable' })
    }
    const id = readListName(ctx.secrets, request.params.id)
    const document = id && (await documents.find(id))
    if (!document) throw new HttpError(404, 'There is no such status list, or it is over.', { reason: 'list_unknown' })

    const gzip = acceptsGzip(request.headers['accept-encoding'])
    if (gzip) reply.header('Content-Encoding', 'gzip')
    return sendCached(request, reply, {
      body: gzip ? document.gzipped : document.body,
      // Strong: another encoding is another representation. RFC 9110 §8.8.3.
      etag: `"${document.etag}${gzip ? '.gzip' : ''}"`,
      contentType: mediaType,
      maxAge: secondsLeft(document.until),
    })
  })

  app.get(statusListsPath, async (request, reply) => sendAggregation(request, reply))

  async function sendAggregation(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const content = { status_lists: await documents.list() }
    return sendCached(
      request,
      reply,
      cachedDocument(content, { contentType: 'application/json', maxAge: ctx.config.statusLists.ttl }),
    )
  }
}

/** What the lists were at another time is not kept: it would only help to follow one token. §8.4, §12.7. */
function refuseHistory(request: FastifyRequest): void {
  if (!new URLSearchParams(encodedQuery(request)).has('time')) return
  throw new HttpError(501, 'There is no history of status lists.', { reason: 'history_not_supported' })
}
