import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { compileParameters, InvalidClientError } from '../../oauth/index.js'
import { clientEndpoint } from '../client-endpoint.js'
import { introspect } from './introspect.js'

const parse = compileParameters(Type.Object({ token: Type.String(), token_type_hint: Type.Optional(Type.String()) }))

/** `POST /introspect`, for clients that can prove who they are. RFC 7662 §2.1. */
export function introspectRoute(app: FastifyInstance, ctx: Context): void {
  clientEndpoint(app, ctx, '/introspect', async ({ client, parameters }) => {
    if (client.tokenEndpointAuthMethod === 'none') {
      throw new InvalidClientError('Introspection needs client authentication.', { reason: 'client_is_public' })
    }
    const { token, token_type_hint: hint } = parse(parameters)
    return introspect(ctx, client, token, hint)
  })
}
