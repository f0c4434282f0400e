import { METHODS } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { HttpError } from './refusal.js'

/** Registers routes in a scope. */
export type Register = (scope: FastifyInstance) => void | Promise<void>

/** CONNECT reaches no route: without a listener of its own, Node closes the connection. */
const ROUTABLE = METHODS.filter((method) => method !== 'CONNECT')

/** Makes every method that the parser knows routable, so that each can be refused by the scope of its path. */
export function routeAllMethods(app: FastifyInstance): void {
  const supported = new Set(app.supportedMethods)
  for (const method of ROUTABLE) {
    if (!supported.has(method)) app.addHttpMethod(method)
  }
}

/**
 * Registers routes, then answers the other methods of their paths with 405 and `Allow` (attack 122), in the scope of the
 * path and after its hooks: so the error has the scope's form, and a CORS preflight was answered before.
 */
export async function registerWithAllMethods(scope: FastifyInstance, register: Register): Promise<void> {
  const paths = new Set<string>()
  scope.addHook('onRoute', ({ url }) => {
    paths.add(url)
  })
  await register(scope)

  // A plugin of its own is loaded after those that `register` may have registered.
  scope.register(async (last) => {
    for (const url of [...paths]) {
      const missing = ROUTABLE.filter((method) => !last.hasRoute({ method, url }))
      if (missing.length === 0) continue
      const allow = ROUTABLE.filter((method) => !missing.includes(method)).join(', ')
      last.route({
        url: url.slice(last.prefix.length),
        method: missing,
        // `/` under a prefix: this very path, not the one without the slash too.
        prefixTrailingSlash: 'slash',
        // Before the body is read.
        onRequest: async () => {
          throw new HttpError(405, `The methods of this address are ${allow}.`, {
            reason: 'method_not_allowed',
            headers: { Allow: allow },
          })
        },
        handler: async () => undefined,
      })
    }
  })
}
