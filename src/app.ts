import type { FastifyInstance } from 'fastify'
import { accountRoutes } from './account/index.js'
import type { Context } from './context.js'
import { demoRoutes } from './demo/index.js'
import {
  bearerScope,
  browserScope,
  corsScope,
  createHttpServer,
  problemScope,
  protocolScope,
  publicScope,
  registrationScope,
} from './http/index.js'
import { clientLogoRoute, consentRoute, loginRoute } from './interaction/index.js'
import { limitOrigins } from './limits/index.js'
import { version } from './platform/version.js'
import { apiKeyRoutes } from './protocol/api-keys/index.js'
import { authorizationEnding, authorizeRoute } from './protocol/authorization/index.js'
import { discoveryRoutes, issuerPath } from './protocol/discovery/index.js'
import { refuseKeysInAddress } from './protocol/exposure/index.js'
import { forwardAuthRoute } from './protocol/forward-auth/index.js'
import { healthRoutes } from './protocol/health/index.js'
import { homeRoutes } from './protocol/home/index.js'
import { introspectRoute } from './protocol/introspection/index.js'
import { leaksRoute } from './protocol/leaks/index.js'
import { logoutRoutes } from './protocol/logout/index.js'
import { openApiRoute } from './protocol/openapi/index.js'
import { rateLimitsRoute } from './protocol/rate-limits/index.js'
import { registrationRoutes } from './protocol/registration/index.js'
import { feedRoute, revokeRoute, snapshotRoute } from './protocol/revocation/index.js'
import { statusListRoutes } from './protocol/status-list/index.js'
import { tokenRoute } from './protocol/token/index.js'
import { usageRoute } from './protocol/usage/index.js'
import { userInfoRoute } from './protocol/userinfo/index.js'

/** The demo that a first start on one's own machine sets up. */
export interface DemoMode {
  /** Where its login starts. */
  readonly url: string
}

export interface AppOptions {
  readonly demo?: DemoMode | undefined
}

/** The whole server: every scope (how a request is answered when it fails) and every route, in order. */
export async function createApp(ctx: Context, { demo }: AppOptions = {}): Promise<FastifyInstance> {
  const app = createHttpServer(ctx, { screenAddress: refuseKeysInAddress(ctx) })
  const { isAllowedOrigin } = ctx.clients
  const prefix = issuerPath(ctx.config.server.issuer)

  // For load balancers and the curious, wherever the issuer's path leads.
  publicScope(app, (scope) => healthRoutes(scope, ctx))

  // Documents that anybody may keep.
  publicScope(app, (scope) =>
    corsScope(scope, { isAllowedOrigin, methods: ['GET'], headers: [] }, (inner) => discoveryRoutes(inner, ctx)),
  )

  await app.register(
    async (server) => {
      // Whom a token says to ask whether it was revoked, and everybody may.
      publicScope(server, (scope) =>
        corsScope(scope, { isAllowedOrigin, methods: ['GET'], headers: [] }, (inner) => statusListRoutes(inner, ctx)),
      )
      publicScope(server, (scope) => openApiRoute(scope, ctx))
      publicScope(server, (scope) => clientLogoRoute(scope, ctx))

      // What programs talk to: errors are JSON.
      protocolScope(server, (scope) => {
        const headers = ['Authorization', 'Content-Type']
        corsScope(scope, { isAllowedOrigin, methods: ['POST'], headers }, (inner) => {
          tokenRoute(inner, ctx)
          revokeRoute(inner, ctx)
        })
        introspectRoute(scope, ctx)
      })

      // Clients that register themselves. No page of another origin may: its visitors would be as many networks.
      registrationScope(server, (scope) => {
        limitOrigins(scope, ctx)
        registrationRoutes(scope, ctx)
      })

      // What gateways ask about the requests that they got: errors are for these.
      forwardAuthRoute(server, ctx)

      // What an access token opens: errors are challenges.
      bearerScope(server, (scope) => {
        feedRoute(scope, ctx)
        snapshotRoute(scope, ctx)
        rateLimitsRoute(scope, ctx)
        const headers = ['Authorization', 'Content-Type']
        corsScope(scope, { isAllowedOrigin, methods: ['GET', 'POST'], headers }, (inner) => {
          limitOrigins(inner, ctx)
          userInfoRoute(inner, ctx)
        })
        usageRoute(scope, ctx)
      })

      // APIs of JSON: errors are problem documents. No page of another origin may call them: an answer holds a key that is
      // for a server, and whatever script runs in such a page could take it. People have a page of ours for it.
      problemScope(server, (scope) => {
        limitOrigins(scope, ctx)
        apiKeyRoutes(scope, ctx)
      })
      // By itself: its bodies are read as they come, since they may be signed.
      problemScope(server, (scope) => leaksRoute(scope, ctx))

      // What a person sees: errors are pages.
      browserScope(server, (scope) => {
        limitOrigins(scope, ctx)
        authorizeRoute(scope, ctx)
        loginRoute(scope, ctx, authorizationEnding)
        consentRoute(scope, ctx, authorizationEnding)
        logoutRoutes(scope, ctx)
        accountRoutes(scope, ctx)
        homeRoutes(scope, ctx, { version, demoUrl: demo?.url })
        if (demo) demoRoutes(scope, ctx)
      })
    },
    { prefix },
  )
  return app
}
