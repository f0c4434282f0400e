import type { FastifyInstance } from 'fastify'
import type { BodyType } from './screening.js'

const BODY_TYPE = 'bodyType'

/**
 * Bodies of this scope are JSON, and nothing else.
 *
 * @param malformed what is thrown for a body that is no JSON in UTF-8
 */
export function takeJson(scope: FastifyInstance, malformed: (cause: unknown) => Error): void {
  scope.decorate(BODY_TYPE, 'json' satisfies BodyType)
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, readJson(body as Buffer))
    } catch (error) {
      done(malformed(error))
    }
  })
}

/** What bodies in this scope are. */
export function bodyTypeOf(scope: FastifyInstance): BodyType {
  return scope.hasDecorator(BODY_TYPE) ? 'json' : 'form'
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @returns undefined for a body of no length */
function readJson(body: Buffer): unknown {
  return body.length === 0 ? undefined : JSON.parse(utf8.decode(body))
}
