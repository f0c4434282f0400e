// Owns what a person sees who opens the server's address itself.

import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { sendPage } from '../../http/index.js'
import { HomePage } from '../../ui/index.js'

export interface HomeOptions {
  readonly version: string
  /** Where the demo login starts, in demo mode. */
  readonly demoUrl?: string | undefined
}

export function homeRoutes(app: FastifyInstance, ctx: Context, { version, demoUrl }: HomeOptions): void {
  const { issuer } = ctx.config.server
  app.get('/', (_request, reply) =>
    sendPage(reply, 200, HomePage({ issuer, version, demo: demoUrl === undefined ? undefined : { url: demoUrl } })),
  )
  // Browsers ask for it on every page; it is not worth a line of error in the log.
  app.get('/favicon.ico', async (_request, reply) => reply.code(204).send())
}
