import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** Why a request is refused by its address alone, whoever sends it and whatever is there; undefined where it is not. */
export type AddressScreen = (request: FastifyRequest) => Promise<Error> | undefined

type Next = (error?: Error) => void

/**
 * Screens every address, also one at which there is nothing, and by every method. A route's own scope says it, after its other
 * hooks: so it is refused in the form of the scope and with its CORS headers, and before it is refused for its method. A
 * preflight, which these answer, is refused before.
 */
export function screenAddresses(app: FastifyInstance, screen: AddressScreen): void {
  const hook = (request: FastifyRequest, _reply: FastifyReply, done: Next): void => {
    const refusal = screen(request)
    if (refusal) refusal.then(done, done)
    else done()
  }
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404 || request.method === 'OPTIONS') hook(request, reply, done)
    else done()
  })
  app.addHook('onRoute', (route) => {
    route.onRequest = [hook, ...[route.onRequest ?? []].flat()]
  })
}
