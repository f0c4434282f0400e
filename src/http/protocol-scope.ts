import type { FastifyInstance } from 'fastify'
import { type Register, registerWithAllMethods } from './methods.js'
import { noStore } from './security-headers.js'
import { sendJsonError } from './send-error.js'

/**
 * A scope for endpoints that programs talk to: errors are RFC 6749 §5.2 JSON, and nothing is ever stored (RFC 6749 §5.1;
 * attack 126).
 */
export function protocolScope(app: FastifyInstance, register: Register): void {
  app.register(async (scope) => {
    scope.setErrorHandler(sendJsonError)
    scope.addHook('onRequest', (_request, reply, done) => {
      noStore(reply)
      done()
    })
    await registerWithAllMethods(scope, register)
  })
}
