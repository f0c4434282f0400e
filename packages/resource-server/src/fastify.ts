// For Fastify: hooks that check, and a plugin that answers for the metadata and ends with the server.

import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AccessToken } from './access-token.js'
import { collect, createBodies } from './body.js'
import type { ProtectOptions } from './options.js'
import { type Api, protect as protectAny } from './protect.js'
import type { BodyProblem, RequestLike } from './request.js'
import type { Requirement } from './requirement.js'
import { metadataHeaders } from './resource-metadata.js'
import { isSigned } from './signature/request-signature.js'

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
  /** `app.register(api.plugin)`, before routes with signed requests: it hands on the body that a check reads. */
  readonly plugin: (app: FastifyInstance) => Promise<void>
}

/** @throws {ConfigurationError} */
export async function protect(options: ProtectOptions): Promise<FastifyApi> {
  const api = await protectAny(options)

  const bodies = createBodies()
  /** Requests whose body a hook of ours hands on to the parser, once it has been read. */
  const handedOn = new WeakSet<object>()

  const require = (requirement: Requirement): Hook => {
    const check = api.require(requirement)
    return async (request, reply) => {
      const { raw } = request
      const rawBody = async (limit: number): Promise<Uint8Array<ArrayBuffer> | BodyProblem> =>
        // Nobody would be left a body to parse, and Fastify would wait for it.
        handedOn.has(raw) ? bodies.read(raw, limit) : 'body_unavailable'
      const decision = await check(asSent(request, rawBody))
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
    app.addHook('onRequest', async ({ raw }) => {
      if (isSigned(raw)) handedOn.add(raw)
    })
    app.addHook('preParsing', async ({ raw }, _reply, payload) => {
      if (!handedOn.has(raw)) return payload
      const read = await bodies.find(raw)
      if (typeof read === 'object') return Readable.from([read], { objectMode: false })
      // Checked after parsing: what the parser reads is kept, within its own limit.
      return Readable.from(
        keeping(payload, (body) => bodies.keep(raw, body)),
        { objectMode: false },
      )
    })
    app.addHook('onClose', api.close)
  }
  // For the whole app, not for what the plugin itself registers alone.
  Object.assign(plugin, { [Symbol.for('skip-override')]: true })

  return { ...api, require, scopes: (...scopes) => require({ scopes }), plugin }
}

/** `ip` is asked for where it is needed alone: with `trustProxy` it is read from a header each time. */
function asSent(request: FastifyRequest, rawBody: RequestLike['rawBody']): RequestLike {
  const { method, url, headers, rawHeaders, socket } = request.raw
  return {
    ...{ method, url, headers, rawHeaders, socket, rawBody },
    get ip() {
      return request.ip
    },
  }
}

async function* keeping(payload: AsyncIterable<Uint8Array>, keep: (body: Uint8Array<ArrayBuffer>) => void) {
  const pieces = collect(Number.POSITIVE_INFINITY)
  for await (const piece of payload) {
    pieces.add(piece)
    yield piece
  }
  keep(pieces.all())
}
