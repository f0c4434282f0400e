import { checkSigningKey, isApiKeyId, looksLikeApiKey, showApiKey } from '../../api-keys/index.js'
import type { Client } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { allowedByRoles } from '../../resources/index.js'
import { refreshTokens, roles } from '../../store/index.js'
import { type AccessTokenClaims, audienceOf, clientOf, readOpaque, sidFor, subjectFor } from '../../tokens/index.js'
import { apiKeyIdType, describeUse } from './api-key.js'
import { type PresentedToken, readAccessToken } from './read-token.js'
import { type IntrospectionResponse, inactive } from './response.js'

/** What a token is worth now. Exact: what was answered 200 by a revocation is seen here at once, at every process. */
export async function introspect(
  ctx: Context,
  client: Client,
  value: string,
  hint: string | undefined,
): Promise<IntrospectionResponse> {
  if (looksLikeApiKey(value)) return describeUse(ctx, client, await showApiKey(ctx, value))
  if (hint === apiKeyIdType && isApiKeyId(value)) {
    const key = await checkSigningKey(ctx, value)
    return typeof key === 'string' ? inactive : describeUse(ctx, client, { key })
  }
  const opaque = readOpaque('ort', value)
  if (opaque) {
    const token = await refreshTokens.find(ctx.db, opaque.bucket, opaque.hash, ctx.clock.now())
    if (!token || token.clientId !== client.clientId || !token.standing || token.usedAt) return inactive
    if (token.expiresAt <= ctx.clock.now()) return inactive
    return {
      active: true,
      client_id: token.clientId,
      sub: subjectFor(ctx, client, token.grant.userId),
      scope: token.grant.scope.join(' '),
      iss: ctx.config.server.issuer,
      iat: Math.floor(token.createdAt.getTime() / 1000),
      exp: Math.floor(token.expiresAt.getTime() / 1000),
      grant_id: token.grant.id,
    }
  }
  const token = await readAccessToken(ctx, value)
  if (!token || !mayKnow(client, token.claims) || !(await isGood(ctx, token))) return inactive
  const claims =
    client.resourceServerOf === token.claims.aud ? token.claims : asItsClientKnows(ctx, client, token.claims)
  return { active: true, token_type: 'Bearer', ...claims, aud: audienceOf(token.claims) }
}

/** By what its client knows the user and their session. OIDC Core §8 */
function asItsClientKnows(ctx: Context, client: Client, claims: AccessTokenClaims): AccessTokenClaims {
  const { grant_id, sub, sid } = claims
  if (client.subjectType !== 'pairwise' || grant_id === undefined) return claims
  return { ...claims, sub: subjectFor(ctx, client, sub), sid: sid && sidFor(ctx, client, sid) }
}

/** The client that it was issued to, or whose API key was exchanged for it, and the resource server that it is meant for. */
function mayKnow(client: Client, claims: AccessTokenClaims): boolean {
  return client.clientId === clientOf(claims) || client.resourceServerOf === claims.aud
}

async function isGood(ctx: Context, { claims, endableBy }: PresentedToken): Promise<boolean> {
  const resource = ctx.resources.find(claims.aud)
  // An API that was deleted has no tokens.
  if (!resource && claims.aud !== ctx.config.server.issuer) return false
  // One read for all who ask meanwhile, and it starts after they asked: nothing that was answered 200 is missed.
  await ctx.revocations.refresh()
  if (ctx.revocations.ends(endableBy, claims.iat)) return false
  if (!resource?.usesRoles) return true
  // Exact, also where the clock of the process that issued it was wrong.
  const kind = claims.key_owner ?? (claims.grant_id === undefined ? 'client' : 'user')
  const holder = { kind, holder: claims.sub }
  const held = await roles.heldBy(ctx.db, holder, resource.identifier)
  const scope = claims.scope?.split(' ') ?? []
  return allowedByRoles(resource, scope, held).length === scope.length
}
