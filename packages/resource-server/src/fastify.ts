// For Fastify: hooks that check, and a plugin that answers for the metadata and ends with the server.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AccessToken } from './access-token.js'
import type { ProtectOptions } from './options.js'
import { type Api, protect as protectAny } from './protect.js'
import type { RequestLike } from './request.js'
import type { Requirement } from './requirement.js'
import { metadataHeaders } from './resource-metadata.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** On routes that check. */
    accessToken: AccessToken
  }
}

/** For `onRequest` or `preHandler` of a route or of a scope. */
export type Hook = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>

export interface FastifyApi extends Omit<Api, 'scopes' | 'require'> {
  readonly scopes: (...scopes: readonly string[]) => Hook
  readonly require: (requirement: Requirement) => Hook
  /** `app.register(api.plugin)`. */
  readonly plugin: (app: FastifyInstance) => Promise<void>
}

/** @throws {ConfigurationError} */
export async function protect(options: ProtectOptions): Promise<FastifyApi> {
  const api = await protectAny(options)

  const require = (requirement: Requirement): Hook => {
    const check = api.require(requirement)
    return async (request, reply) => {
      const decision = await check(asSent(request))
      if (!decision.ok) return reply.code(decision.status).headers(decision.headers).send(decision.body)
      if (decision.headers) reply.headers(decision.headers)
      request.accessToken = decision.token
      return undefined
    }
  }

  async function plugin(app: FastifyInstance): Promise<void> {
    const { metadataPath } = api
    if (metadataPath !== undefined) {
      app.get(metadataPath, (request, reply) => {
        reply.headers(metadataHeaders).send(api.metadataFor(request.raw))
      })
    }
    app.addHook('onClose', api.close)
  }

  return { ...api, require, scopes: (...scopes) => require({ scopes }), plugin }
}

/** `ip` is asked for where it is needed alone: with `trustProxy` it is read from a header each time. */
function asSent(request: FastifyRequest): RequestLike {
  const { method, url, headers, rawHeaders } = request.raw
  return {
    ...{ method, url, headers, rawHeaders },
    get ip() {
      return request.ip
    },
  }
}
