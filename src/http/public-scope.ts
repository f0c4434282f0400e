import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sha256 } from '../platform/crypto/hash.js'
import { type Register, registerWithAllMethods } from './methods.js'
import { sendJsonError } from './send-error.js'

/** A scope for read-only documents that anybody may keep: metadata, keys. Errors are JSON, and are not kept. */
export function publicScope(app: FastifyInstance, register: Register): void {
  app.register(async (scope) => {
    scope.setErrorHandler(sendJsonError)
    await registerWithAllMethods(scope, register)
  })
}

/** A document that was serialised once, to be sent many times. */
export interface CachedDocument {
  readonly body: Buffer
  /** Strong, with its quotes. */
  readonly etag: string
  readonly contentType: string
  /** Seconds that it may be used without asking again. */
  readonly maxAge: number
}

export function cachedDocument(
  content: object,
  { contentType, maxAge }: Pick<CachedDocument, 'contentType' | 'maxAge'>,
): CachedDocument {
  const body = Buffer.from(JSON.stringify(content))
  return { body, etag: `"${sha256(body).toString('base64url').slice(0, 22)}"`, contentType, maxAge }
}

/** Sends the document, or 304 to those that have it. RFC 9110 §13.1.2. */
export function sendCached(request: FastifyRequest, reply: FastifyReply, document: CachedDocument): FastifyReply {
  const { body, etag, contentType, maxAge } = document
  reply.header('Cache-Control', `public, max-age=${maxAge}`).header('ETag', etag)
  const known = request.headers['if-none-match']
  if (known !== undefined && names(known, etag)) return reply.code(304).send()
  return reply.type(contentType).send(body)
}

/** `If-None-Match` compares weakly: a proxy that compressed the answer marks the tag with `W/`. */
function names(header: string, etag: string): boolean {
  return header.split(',').some((tag) => {
    const bare = tag.trim().replace(/^W\//, '')
    return bare === etag || bare === '*'
  })
}
