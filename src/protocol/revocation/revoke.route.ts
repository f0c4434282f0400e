import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { compileParameters } from '../../oauth/index.js'
import { clientEndpoint } from '../client-endpoint.js'
import { revokeTokenValue } from './revoke-token.js'

/** The hint is of no use to us: a token says what it is. RFC 7009 §2.1. */
const parse = compileParameters(Type.Object({ token: Type.String(), token_type_hint: Type.Optional(Type.String()) }))

/** `POST /revoke`. The answer is the same for a token that is unknown to us. RFC 7009 §2.2. */
export function revokeRoute(app: FastifyInstance, ctx: Context): void {
  clientEndpoint(app, ctx, '/revoke', async ({ client, parameters, origin }) => {
    const cause = { actor: `client:${client.clientId}`, reason: 'revoked_by_client', origin }
    await revokeTokenValue(ctx, parse(parameters).token, cause, client)
    return undefined
  })
}
