import type { FastifyRequest } from 'fastify'
import type { Context } from '../../context.js'
import { originOf } from '../../http/index.js'
import { countRequest } from '../../limits/index.js'
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

/** Counts the request for the tier of the client. @throws what `authorizeBearer` and `countRequest` throw */
export async function authorizeResourceServer(ctx: Context, request: FastifyRequest): Promise<ResourceServer> {
  const token = await authorizeBearer(ctx, request, revocationsScope)
  const clientId = token.claims.client_id
  const client = await ctx.clients.find(clientId)
  if (client?.resourceServerOf !== undefined) {
    if (client.rateTier !== undefined) await countRequest(ctx, client, client.rateTier, originOf(request))
    return { audience: client.resourceServerOf, clientId, token }
  }
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
