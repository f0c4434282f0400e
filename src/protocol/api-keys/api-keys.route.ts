import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { operationRoutes } from '../../http/index.js'
import { authorizeCaller } from './caller.js'
import { apiKeyOperations } from './operations.js'

/** `/api-keys` and what lies under it. */
export function apiKeyRoutes(app: FastifyInstance, ctx: Context): void {
  operationRoutes(app, apiKeyOperations(ctx), (request) => authorizeCaller(ctx, request))
}
