import cookie from '@fastify/cookie'
import type { FastifyInstance } from 'fastify'
import { type Register, registerWithAllMethods } from './methods.js'
import { noStore } from './security-headers.js'
import { sendErrorPage } from './send-error.js'

/**
 * A scope for what a person sees: errors are pages at the address that was asked for, nothing is stored, and cookies can
 * be set. Pages are sent by `sendPage`, which gives each its own policy.
 */
export function browserScope(app: FastifyInstance, register: Register): void {
  app.register(async (scope) => {
    scope.setErrorHandler(sendErrorPage)
    // Only for setting: `readCookie` reads, by stricter rules.
    await scope.register(cookie)
    scope.addHook('onRequest', (_request, reply, done) => {
      noStore(reply)
      done()
    })
    await registerWithAllMethods(scope, register)
  })
}
