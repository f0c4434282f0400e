import { type Static, Type } from '@sinclair/typebox'
import { type Client, countIssued } from '../../../clients/index.js'
import type { Context } from '../../../context.js'
import { concernsUser, InvalidScopeError, revocationsScope } from '../../../oauth/index.js'
import { accessTokens } from '../../../store/index.js'
import {
  askedResources,
  askedScope,
  asksForOwnScope,
  makeAccessToken,
  rolesOfClient,
  scopeForToken,
  type TokenScope,
} from '../../../tokens/index.js'
import { defineGrantType } from '../grant-type.js'

const parameterTypes = Type.Object({
  scope: Type.Optional(Type.String()),
  resource: Type.Optional(Type.Array(Type.String())),
})

/**
 * The client credentials grant. RFC 6749 §4.4. On a warm process it reads and writes no row: the client is in memory, the
 * token is a JWT, its audit is written behind. An opaque token costs one batched insert.
 */
export const clientCredentials = defineGrantType({
  name: 'client_credentials',

  parameters: parameterTypes,

  // Resource servers registered nothing, and may follow the revocations that concern them.
  permits: (client, { scope, resource }) => asksForOwnScope(client, scope, resource),

  async handle(ctx, { client, parameters, origin }) {
    // Nothing else asks the database here: without it, nothing is issued.
    ctx.assertFresh()
    const { clientId } = client
    const target = asksForOwnScope(client, parameters.scope, parameters.resource)
      ? { resource: undefined, scope: [revocationsScope] }
      : registeredScope(ctx, client, parameters)

    const token = await makeAccessToken(ctx, { client, sub: clientId, target, readRoles: rolesOfClient(ctx, clientId) })
    const scope = token.scope.join(' ')
    if (token.row) await accessTokens.create(ctx.db, token.row)
    ctx.audit.count({
      type: 'token.issued',
      actor: `client:${clientId}`,
      clientId,
      ip: origin.ip,
      detail: { grant_type: 'client_credentials', aud: token.claims.aud, scope },
    })
    const { aud: audience } = token.claims
    countIssued(ctx, client, { grantType: 'client_credentials', audience, scope }, origin)
    return { access_token: token.value, token_type: 'Bearer', expires_in: token.expiresIn, scope }
  },
})

function registeredScope(ctx: Context, client: Client, parameters: Static<typeof parameterTypes>): TokenScope {
  const resources = askedResources(ctx, client, parameters.resource ?? [])
  const asked = askedScope(ctx, client, { scope: parameters.scope, resources })
  const own = asked.filter((name) => !concernsUser(name))
  if (own.length === 0 && parameters.scope !== undefined && asked.length > 0) {
    throw new InvalidScopeError('The scopes concern a user.', { reason: 'scope_needs_a_user' })
  }
  return scopeForToken(ctx, client, { scope: own, resources })
}
