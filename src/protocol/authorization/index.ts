// Placeholder of the lead until the real index is written here: overwrite it.
import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
export function authorizeRoute(_app: FastifyInstance, _ctx: Context): void {}
