import { chainOf, countUse, type ShownApiKey } from '../../api-keys/index.js'
import type { Client } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { allowedByRoles } from '../../resources/index.js'
import { type ApiKey, roles } from '../../store/index.js'
import { type IntrospectionResponse, inactive } from './response.js'

/** The `token_type_hint` of the id of a signing key, which is public: whoever shows it must sign by it. */
export const apiKeyIdType = 'urn:ostiary:params:oauth:token-type:api-key-id'

/** What a key is worth to whoever asks. At a resource server it is worth what it may do there. */
export async function describeUse(
  ctx: Context,
  client: Client,
  { problem, key }: ShownApiKey,
): Promise<IntrospectionResponse> {
  if (!key) return inactive
  const isOwner = key.owner.kind === 'client' && key.owner.id === client.clientId
  const audience = key.resources.filter((each) => isOwner || each === client.resourceServerOf)
  const [api] = audience
  if (api === undefined) return inactive
  if (problem !== undefined) {
    if (!isOwner) countUse(ctx, key, { api, scope: [], outcome: 'ended' })
    return inactive
  }
  const scope = await scopeAt(ctx, key, audience)
  if (key.isNowhere) {
    if (!isOwner) countUse(ctx, key, { api, scope: [], outcome: 'network' })
    return inactive
  }
  // Its owner may do nothing there, or no more. Nothing is exchanged for it, either; and an answer that is good stands longer
  // than one that is not, so that a role which is granted would come later.
  if (scope.length === 0) {
    if (!isOwner) countUse(ctx, key, { api, scope: [], outcome: 'insufficient_scope' })
    return inactive
  }
  // Who used it there is not known here.
  if (!isOwner) countUse(ctx, key, { api, scope: [], outcome: 'introspected' })
  return {
    active: true,
    token_type: 'api_key',
    iss: ctx.config.server.issuer,
    client_id: key.id,
    sub: key.owner.id,
    aud: audience.length === 1 ? audience[0] : audience,
    scope: scope.join(' '),
    iat: seconds(key.createdAt),
    exp: key.expiresAt && seconds(key.expiresAt),
    api_key: {
      kind: key.kind,
      prefix: key.prefix,
      environment: key.environment,
      name: key.name,
      owner: key.owner.kind,
      networks: key.networks,
      origins: key.kind === 'publishable' ? key.origins : undefined,
      // By these it counts what the key is used for there, as this server does here.
      chain: chainOf(key),
      tier: key.limit?.tier,
      tier_by: key.limit?.by,
      jwk: key.publicJwk,
      // RFC 9745 §2 and RFC 8594 §3: what an API tells whoever still uses it.
      deprecated_at: key.rotatedAt && seconds(key.rotatedAt),
    },
  }
}

/** What the key may do at these resources. Exact: roles are asked for at each use. */
export async function scopeAt(ctx: Context, key: ApiKey, audience: readonly string[]): Promise<readonly string[]> {
  const allowed = new Set<string>()
  for (const identifier of audience) {
    const resource = ctx.resources.find(identifier)
    // An API that was deleted has no scopes.
    if (!resource) continue
    const own = resource.scopes.map(({ name }) => name).filter((name) => key.scope.includes(name))
    const holder = { kind: key.owner.kind, holder: key.owner.id }
    const held = resource.usesRoles ? await roles.heldBy(ctx.db, holder, identifier) : []
    for (const name of allowedByRoles(resource, own, held)) allowed.add(name)
  }
  return key.scope.filter((name) => allowed.has(name))
}

function seconds(time: Date): number {
  return Math.floor(time.getTime() / 1000)
}
