import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type CachedDocument, documentHeaders } from './cached-document.js'
import { type Register, registerWithAllMethods } from './methods.js'
import { sendJsonError } from './send-error.js'

/** A scope for read-only documents that anybody may keep: metadata, keys. Errors are JSON, and are not kept. */
export function publicScope(app: FastifyInstance, register: Register): void {
  app.register(async (scope) => {
    scope.setErrorHandler(sendJsonError)
    await registerWithAllMethods(scope, register)
  })
}

/** Sends the document, or 304 to those that have it. RFC 9110 §13.1.2. */
export function sendCached(request: FastifyRequest, reply: FastifyReply, document: CachedDocument): FastifyReply {
  const { body, etag, contentType } = document
  reply.headers(documentHeaders(document))
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
