import { countUse, mayBeUsedFrom, showApiKey, type UsableApiKey } from '../../api-keys/index.js'
import { type Client, firstSecretEnd } from '../../clients/index.js'
import type { Context } from '../../context.js'
import type { Gateway } from '../../gateways/index.js'
import { InvalidClientError, InvalidTokenError, intersect, TemporarilyUnavailableError } from '../../oauth/index.js'
import { allowedByRoles, type Resource } from '../../resources/index.js'
import { endsOfApiKey, roleTarget } from '../../revocation/index.js'
import { type EndableBy, roles } from '../../store/index.js'
import type { AccessTokenClaims } from '../../tokens/index.js'
import { readAccessToken, scopeAt } from '../introspection/index.js'
import type { Caller } from './caller.js'

/** What a credential is good for at the API behind a gateway. */
export interface CredentialWorth {
  readonly credential: 'access_token' | 'api_key' | 'basic'
  readonly sub: string
  readonly clientId: string
  /** What it may do there. */
  readonly scope: readonly string[]
  /** Undefined: it does not end by itself. */
  readonly endsAt: Date | undefined
  /** Everything that the revocation list could say of it. */
  readonly targets: readonly EndableBy[]
  /** What else is passed on of a token. */
  readonly claims: Partial<AccessTokenClaims>
  /** Where it may come from, which is asked at every use. */
  readonly key?: UsableApiKey | undefined
}

/** What an access token is worth. @throws {InvalidTokenError} */
export async function worthOfToken(ctx: Context, gateway: Gateway, value: string): Promise<CredentialWorth> {
  const token = await readAccessToken(ctx, value)
  if (!token || token.claims.aud !== gateway.resource) throw isInvalid('token_invalid')
  const { claims, endableBy } = token
  if (ctx.revocations.ends(endableBy, claims.iat)) throw isInvalid('token_revoked')
  // Bound to a key or certificate (RFC 7800): not for whoever has nothing but the token (attacks 72, 75).
  if ('cnf' in claims) throw isInvalid('token_bound')
  return {
    credential: 'access_token',
    sub: claims.sub,
    clientId: claims.client_id,
    scope: claims.scope?.split(' ') ?? [],
    endsAt: new Date(claims.exp * 1000),
    targets: endableBy,
    claims: passedOn(claims),
  }
}

/** By what revocations end it, and what the API asked to be told. */
function passedOn(claims: AccessTokenClaims): Partial<AccessTokenClaims> {
  const { grant_id, sid, key_owner, key_prefix, key_chain, roles, auth_time, email, name } = claims
  const ofKey = { key_owner, key_prefix, key_chain }
  return { grant_id, sid, ...ofKey, roles, auth_time, email, name } as Partial<AccessTokenClaims>
}

/** What an API key is worth now, by its row. @throws {InvalidTokenError} */
export async function worthOfKey(
  ctx: Context,
  { resource }: Gateway,
  { credential, from }: Caller,
): Promise<CredentialWorth> {
  const { problem, key } = await showApiKey(ctx, credential)
  if (!key) throw isInvalid(problem ?? 'key_unknown')
  if (!key.resources.includes(resource)) throw isInvalid('key_for_another_resource')
  if (problem !== undefined) {
    countUse(ctx, key, { api: resource, scope: [], outcome: 'ended', ip: from.ip })
    throw isInvalid(problem)
  }
  return {
    credential: 'api_key',
    sub: key.owner.id,
    clientId: key.id,
    scope: await scopeAt(ctx, key, [resource]),
    endsAt: key.expiresAt,
    targets: [
      { kind: 'api_key', target: key.id },
      { kind: 'api_key_state', target: key.id },
      ...endsOfApiKey(key),
      { kind: 'role', target: roleTarget(key.owner.id, resource) },
    ],
    // By these an API that follows the feed hears of its end.
    claims: { key_owner: key.owner.kind, key_prefix: key.prefix, key_chain: key.chain },
    key,
  }
}

/** Reasons. */
export const elsewhere = { network: 'key_from_another_network', page: 'key_of_another_page' } as const

/** A key is good from its networks alone; one that stands in pages only from these. @throws {InvalidTokenError} */
export function requirePlace(key: UsableApiKey, { from, addressUnknown, page }: Caller): void {
  const { kind, origins } = key
  if (!mayBeUsedFrom(key, from.ip)) throw isInvalid(addressUnknown ?? elsewhere.network)
  if (kind === 'publishable' && (page === undefined || !origins.includes(page))) throw isInvalid(elsewhere.page)
}

/** What a service account is worth that has proved itself. @throws {InvalidClientError} where the client is none */
export async function worthOfService(ctx: Context, gateway: Gateway, client: Client): Promise<CredentialWorth> {
  const { clientId, allowedResources } = client
  const resource = requireResource(ctx, gateway)
  const reaches = allowedResources.length === 0 || allowedResources.includes(resource.identifier)
  // Applications act for their users, and clients of resource servers and gateways for nobody.
  if (!client.grantTypes.includes('client_credentials') || !reaches) {
    throw new InvalidClientError('The client is no service account for this API.', { reason: 'client_no_service' })
  }
  const own = intersect(
    client.scope,
    resource.scopes.map(({ name }) => name),
  )
  const holder = { kind: 'client', holder: clientId } as const
  const held = resource.usesRoles ? await roles.heldBy(ctx.db, holder, resource.identifier) : []
  return {
    credential: 'basic',
    sub: clientId,
    clientId,
    scope: allowedByRoles(resource, own, held),
    endsAt: firstSecretEnd(client.secrets, ctx.clock.now()),
    targets: [
      { kind: 'client', target: clientId },
      { kind: 'client_secret', target: clientId },
      { kind: 'role', target: roleTarget(clientId, resource.identifier) },
    ],
    claims: {},
  }
}

/** @throws {TemporarilyUnavailableError} where this process has not heard of it yet */
export function requireResource(ctx: Context, { resource }: Gateway): Resource {
  const found = ctx.resources.find(resource)
  if (found) return found
  throw new TemporarilyUnavailableError('The server cannot answer now.', { reason: 'resource_unknown', retryAfter: 5 })
}

export function isInvalid(reason: string): InvalidTokenError {
  return new InvalidTokenError('The credential is unknown, expired, revoked or meant for somebody else.', { reason })
}
