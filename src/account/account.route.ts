import type { FastifyInstance } from 'fastify'
import type { Context } from '../context.js'
import { changeKeyRoute } from './api-keys/change.route.js'
import { endKeyRoute } from './api-keys/end.route.js'
import { keyRoute } from './api-keys/key.route.js'
import { listRoute } from './api-keys/list.route.js'
import { newKeyRoute } from './api-keys/new.route.js'
import { rotateKeyRoute } from './api-keys/rotate.route.js'
import { applicationsRoute } from './applications/applications.route.js'
import { accountRoute } from './frame.js'
import { overviewRoute, signedOutRoute } from './overview.route.js'
import { sessionsRoute } from './sessions/sessions.route.js'

/** `/account` and what lies under it. */
export function accountRoutes(app: FastifyInstance, ctx: Context): void {
  const apiKeys = [listRoute, newKeyRoute, keyRoute, changeKeyRoute, rotateKeyRoute, endKeyRoute]
  for (const route of [overviewRoute, sessionsRoute, applicationsRoute, ...apiKeys]) accountRoute(app, ctx, route(ctx))
  signedOutRoute(app, ctx)
}
