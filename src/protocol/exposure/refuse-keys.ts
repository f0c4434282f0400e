import type { FastifyInstance } from 'fastify'
import { createExposureWatch, findApiKeys } from '../../api-keys/index.js'
import type { Context } from '../../context.js'
import { originOf } from '../../http/index.js'
import { InvalidRequestError } from '../../oauth/index.js'

/**
 * Refuses whatever comes to this scope with an API key in its address, path or query, whoever sends it: it stands in logs by
 * now. A key that is good is marked, and its owner told (attack 113).
 */
export function refuseKeysInAddress(scope: FastifyInstance, ctx: Context): void {
  const lookForKeys = createExposureWatch(ctx)
  scope.addHook('onRequest', (request, _reply, done) => {
    if (findApiKeys(request.url).length === 0) return done()
    const refusal = new InvalidRequestError('An API key belongs into a header or a body, never into the address.', {
      reason: 'secret_in_query',
    })
    void lookForKeys([request.url], originOf(request)).then(() => done(refusal))
  })
}
