import type { FastifyInstance } from 'fastify'
import type { Context } from '../../context.js'
import { InvalidRequestError, UnauthorizedClientError, UnsupportedGrantTypeError } from '../../oauth/index.js'
import { type ClientRequest, clientEndpoint } from '../client-endpoint.js'
import type { GrantAnswer, GrantType } from './grant-type.js'
import { grantTypes } from './grant-types/index.js'

/** `POST /token`. RFC 6749 §3.2. */
export function tokenRoute(app: FastifyInstance, ctx: Context): void {
  clientEndpoint(app, ctx, '/token', answerClient, ({ parameters, origin }) =>
    find(parameters['grant_type'])?.handleAlone?.(ctx, { parameters, sent: parameters, origin }),
  )

  function answerClient({ client, parameters, origin }: ClientRequest): Promise<GrantAnswer> {
    const { grant_type } = parameters
    if (grant_type === undefined) {
      throw new InvalidRequestError('The parameter grant_type is missing.', { reason: 'grant_type_missing' })
    }
    const grantType = find(grant_type)
    if (!grantType) throw new UnsupportedGrantTypeError('The grant type is unknown.', { reason: 'grant_type_unknown' })
    if (!client.grantTypes.includes(grantType.name) && !grantType.permits?.(client, parameters)) {
      throw new UnauthorizedClientError('The client is not registered for this grant type.', {
        reason: 'grant_type_not_registered',
      })
    }
    return grantType.handle(ctx, { client, parameters, sent: parameters, origin })
  }
}

function find(name: unknown): GrantType | undefined {
  return grantTypes.find((grantType) => grantType.name === name)
}
