// Owns what a load balancer asks: whether the process lives, and whether it can serve.

import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { createReadiness, isHealthy } from './readiness.js'

/** `GET /healthz`: the process lives. `GET /readyz`: the database answers, keys and partitions are there. Neither says more. */
export function healthRoutes(app: FastifyInstance, ctx: Context): void {
  const readiness = createReadiness(ctx)
  app.get('/healthz', async (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }))

  app.get('/readyz', async (request, reply) => {
    reply.header('cache-control', 'no-store')
    try {
      // First, and always: a connection that broke is known before anybody asks the database.
      ctx.assertConnected()
      const health = await readiness()
      if (isHealthy(health)) return reply.send({ status: 'ready' })
      request.log.error({ ...health }, 'partitions need the worker')
    } catch (error) {
      request.log.warn({ err: error }, 'not ready')
    }
    return reply.code(503).header('retry-after', '5').send({ status: 'unavailable' })
  })
}
