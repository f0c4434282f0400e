import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { operationRoutes, originOf } from '../../http/index.js'
import { authorizeCaller } from './caller.js'
import { apiKeyOperations } from './operations.js'

/** `/api-keys` and what lies under it. */
export function apiKeyRoutes(app: FastifyInstance, ctx: Context): void {
  operationRoutes(app, apiKeyOperations(ctx), {
    authorize: (request) => authorizeCaller(ctx, request),
    onRefusal: (error, { clientId }, request) => ctx.audit.refused(error, { clientId, ip: originOf(request).ip }),
  })
}
