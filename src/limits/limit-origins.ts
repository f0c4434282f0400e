import type { FastifyInstance } from 'fastify'
import type { Context } from '../context.js'
import { originOf } from '../http/index.js'
import { countOrigin, limitsOrigins } from './count-request.js'

/**
 * Counts each request to the routes of the scope by where it comes from, and says so in its answer: after the hooks of the
 * scopes around it, so that a refusal has their form and their CORS headers, and before anybody is authenticated.
 */
export function limitOrigins(scope: FastifyInstance, ctx: Pick<Context, 'rateLimits' | 'config'>): void {
  if (!limitsOrigins(ctx)) return
  scope.addHook('onRequest', async (request, reply) => {
    const fields = await countOrigin(ctx, originOf(request))
    if (fields) reply.headers(fields)
  })
}
