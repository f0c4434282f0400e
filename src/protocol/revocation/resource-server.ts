import type { FastifyRequest } from 'fastify'
import type { Context } from '../../context.js'
import { InsufficientScopeError, InvalidRequestError, revocationsScope } from '../../oauth/index.js'
import { authorizeBearer } from '../bearer.js'
import type { PresentedToken } from '../introspection/index.js'

/** Who may hear what is revoked: the server of one API, and only what concerns that. */
export interface ResourceServer {
  /** The identifier of its resource. */
  readonly audience: string
  readonly clientId: string
  readonly token: PresentedToken
}

/** @throws what `authorizeBearer` throws */
export async function authorizeResourceServer(ctx: Context, request: FastifyRequest): Promise<ResourceServer> {
  const token = await authorizeBearer(ctx, request, revocationsScope)
  const clientId = token.claims.client_id
  const client = await ctx.clients.find(clientId)
  if (client?.resourceServerOf !== undefined) return { audience: client.resourceServerOf, clientId, token }
  throw new InsufficientScopeError('The client is no resource server.', {
    reason: 'not_a_resource_server',
    scope: revocationsScope,
  })
}

const digits = /^\d{1,18}$/

/** @throws {InvalidRequestError} for what is no position */
export function readPosition(text: string): bigint {
  if (digits.test(text)) return BigInt(text)
  throw new InvalidRequestError('The position is not a number in decimal digits.', { reason: 'position_malformed' })
}
