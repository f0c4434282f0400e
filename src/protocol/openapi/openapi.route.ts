import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { cachedDocument, openApiDocument, sendCached } from '../../http/index.js'
import { apiKeysApi } from '../api-keys/index.js'
import { leaksApi } from '../leaks/index.js'

/** Of what it describes. The server's own is nobody's business who asks from outside (attack 136). */
const version = '1'

/** Seconds that anybody may keep it: it changes with the server's release and settings alone. */
const maxAge = 300

/** `GET /openapi.json`: from the schemas that check requests. */
export function openApiRoute(app: FastifyInstance, ctx: Context): void {
  const { issuer } = ctx.config.server
  const content = openApiDocument({ title: 'Ostiary', version, issuer, apis: [apiKeysApi(ctx), leaksApi(ctx)] })
  const document = cachedDocument(content, { contentType: 'application/json', maxAge })
  app.get('/openapi.json', (request, reply) => sendCached(request, reply, document))
}
