import type { FastifyInstance } from 'fastify'
import { InvalidClientMetadataError } from '../oauth/errors.js'
import { takeJson } from './json-body.js'
import { type Register, registerWithAllMethods } from './methods.js'
import { noStore } from './security-headers.js'
import { sendRegistrationError } from './send-error.js'

/**
 * A scope for clients that register themselves: bodies are JSON, errors are RFC 7591 §3.2.2 JSON, with an RFC 6750 §3
 * challenge where a token is what is wrong, and nothing is ever stored.
 */
export function registrationScope(app: FastifyInstance, register: Register): void {
  app.register(async (scope) => {
    scope.setErrorHandler(sendRegistrationError)
    takeJson(
      scope,
      (cause) => new InvalidClientMetadataError('The body is not JSON in UTF-8.', { reason: 'json_malformed', cause }),
    )
    scope.addHook('onRequest', (_request, reply, done) => {
      noStore(reply)
      done()
    })
    await registerWithAllMethods(scope, register)
  })
}
