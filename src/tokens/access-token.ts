import { type Client, keepUsed } from '../clients/index.js'
import type { Context } from '../context.js'
import { ServerError } from '../oauth/errors.js'
import type { Resource } from '../resources/index.js'
import {
  type EndableClaims,
  endableBy,
  refuseBehind,
  type StatusClaim,
  type StatusRequest,
  serviceOf,
  type TakenIndex,
} from '../revocation/index.js'
import {
  type ApiKey,
  dayBucket,
  type Grant,
  type HeldRole,
  type NewAccessToken,
  type NewStatusIndex,
  statusLists,
} from '../store/index.js'
import { isSigningAlg, type SigningAlg } from './keys/index.js'
import { drawOpaque } from './opaque.js'
import { type KnownRoles, type ReadRoles, saysRoles } from './roles.js'
import { allowedScope, type TokenScope } from './scope.js'

/** What an access token says; introspection answers the same of an opaque one. RFC 9068 §2.2. */
export interface AccessTokenClaims extends EndableClaims {
  readonly iss: string
  readonly exp: number
  readonly scope?: string | undefined
  readonly roles?: readonly string[]
  /** The first key of the chain of rotations, where an API key was exchanged for it that is not that one. */
  readonly key_chain?: string | undefined
  readonly auth_time?: number
  readonly email?: string
  readonly name?: string
  /** What was asked of UserInfo by name: it is answered without a look at the grant. OIDC Core §5.5 */
  readonly userinfo_claims?: readonly string[]
  /** Only in a JWT: whoever asks by introspection needs no list. */
  readonly status?: StatusClaim
}

/** The client whose token it is: where an API key was exchanged for it, the key's owner, if that is a client. */
export function clientOf({ client_id, key_owner, sub }: AccessTokenClaims): string | undefined {
  if (key_owner === undefined) return client_id
  return key_owner === 'client' ? sub : undefined
}

/**
 * For whom a token is, as others read it: one that tells who its user is opens UserInfo too, and so is for this server besides
 * the resource. `aud` of `AccessTokenClaims` is the resource alone, by which a token is ended.
 */
export function audienceOf({ aud, scope, iss }: Pick<AccessTokenClaims, 'aud' | 'scope' | 'iss'>): string | string[] {
  return aud !== iss && opensUserInfo(scope) ? [aud, iss] : aud
}

/** OIDC Core §5.3: whether the token has the scope `openid`. */
export function opensUserInfo(scope: string | undefined): boolean {
  return scope !== undefined && openid.test(scope)
}

const openid = /(?:^| )openid(?: |$)/

/** Of RFC 9068 §2.1: what tells an access token from any other JWT. */
export const accessTokenType = 'at+jwt'

export interface AccessTokenRequest {
  /** Of a token for an API key that is the key, by its id. */
  readonly client: Pick<Client, 'clientId' | 'accessTokenLifetime' | 'selfRegistered' | 'subjectType' | 'unusedUntil'>
  /** The user's id, or the client's where it acts for itself. */
  readonly sub: string
  /** What is exchanged: then `readRoles` asks for it, too, and says as of when it was good. */
  readonly key?: Pick<ApiKey, 'owner' | 'prefix' | 'chain' | 'expiresAt'>
  /** Before roles have their say. */
  readonly target: TokenScope
  /** Where a user allowed it. */
  readonly grant?: Grant
  readonly user?: { readonly email: string; readonly name?: string | undefined }
  readonly readRoles: ReadRoles
}

export interface MadeAccessToken {
  readonly value: string
  readonly scope: readonly string[]
  /** Seconds from now. */
  readonly expiresIn: number
  readonly claims: AccessTokenClaims
  /** The row of an opaque one. */
  readonly row?: NewAccessToken
  /** Of a JWT that a user's grant gives: its place in a status list. */
  readonly statusIndex?: NewStatusIndex | undefined
}

/**
 * Makes the token; nothing is written but that its client is used.
 *
 * @throws {InvalidScopeError} when roles leave nothing of its scope
 * @throws {InvalidClientError} when the client was deleted as one that nobody uses
 */
export async function makeAccessToken(ctx: Context, request: AccessTokenRequest): Promise<MadeAccessToken> {
  const { target, readRoles } = request
  const { resource } = target
  const endable = describeEndable(ctx, request)
  const isAsked = request.key !== undefined || saysRoles(resource)
  const { roles, asOf } = await rolesToIssue(ctx, endable, isAsked ? readRoles : noRoles(ctx))
  const scope = allowedScope(target, roles)
  const claims = describe(ctx, request, { endable, iat: wholeSecond(asOf), scope, roles })
  const expiresIn = claims.exp - wholeSecond(ctx.clock.now())
  if (request.client.unusedUntil !== undefined) await keepUsed(ctx, request.client.clientId)
  if (isOpaque(request)) {
    const expiresAt = new Date(claims.exp * 1000)
    const token = drawOpaque(ctx, 'oat', dayBucket(expiresAt))
    const row = { bucket: token.bucket, hash: token.hash, claims: { ...claims }, expiresAt }
    return { value: token.value, scope, expiresIn, claims, row }
  }
  const alg = signingAlgOf(ctx, resource)
  const signed = opensUserInfo(claims.scope) ? { ...claims, aud: audienceOf(claims) } : claims
  if (ctx.config.statusLists.enabled === 'off') {
    return { value: await ctx.keys.sign(signed, { alg, typ: accessTokenType }), scope, expiresIn, claims }
  }
  const taken = ctx.statusIndexes.take(indexRequest(ctx, alg, claims)) ?? (await leaseIndex(ctx, alg, claims))
  const value = await ctx.keys.sign(signed, { alg, typ: accessTokenType, member: taken.member })
  return { value, scope, expiresIn, claims, statusIndex: request.grant && describeIndex(taken, claims) }
}

/** Nobody but its client reads one for this server alone: where subjects are pairwise, it must not tell the user's id. OIDC Core §8 */
function isOpaque({ client, target: { resource }, grant }: AccessTokenRequest): boolean {
  return resource ? resource.tokenFormat === 'opaque' : grant !== undefined && client.subjectType === 'pairwise'
}

/** Of the key that will sign: where that changes while an index is waited for, it is one of the next. */
async function leaseIndex(ctx: Context, alg: SigningAlg, claims: AccessTokenClaims): Promise<TakenIndex> {
  for (;;) {
    const request = indexRequest(ctx, alg, claims)
    const taken = await ctx.statusIndexes.lease(request)
    if (request.kid === ctx.keys.kidOf(alg)) return taken
  }
}

function indexRequest(ctx: Context, alg: SigningAlg, claims: AccessTokenClaims): StatusRequest {
  return { kid: ctx.keys.kidOf(alg), service: serviceOf(claims), iat: claims.iat, exp: claims.exp }
}

function describeIndex({ listId, idx, period }: TakenIndex, claims: AccessTokenClaims): NewStatusIndex {
  const bucket = dayBucket(statusLists.endOfStatusPeriod(period))
  return { bucket, listId, idx, sessionId: claims.sid, audience: claims.aud, iat: claims.iat }
}

function describeEndable(
  ctx: Context,
  { client, sub, target: { resource }, grant, key }: AccessTokenRequest,
): Omit<EndableClaims, 'iat'> {
  return {
    jti: ctx.random.uuid(),
    client_id: client.clientId,
    sub,
    aud: resource?.identifier ?? ctx.config.server.issuer,
    grant_id: grant?.id,
    sid: grant && !grant.offline ? grant.session?.id : undefined,
    key_owner: key?.owner.kind,
    key_prefix: key?.prefix,
  }
}

/**
 * What the holder may do, as of the moment that becomes the token's `iat`. A verifier refuses what is from the second of a
 * not-before or earlier, so nothing is issued in the rest of that second: it is waited for. To take the next second at once
 * would let the token outlive another revocation within this one. What was read before the wait is read again.
 *
 * @throws {TemporarilyUnavailableError} when the clock was set back behind a not-before: until it is past that again,
 *   nothing can be issued that is not ended already (attack 133)
 */
async function rolesToIssue(
  ctx: Context,
  endable: Omit<EndableClaims, 'iat'>,
  readRoles: ReadRoles,
): Promise<KnownRoles> {
  const targets = endableBy(endable)
  for (let from: Date | undefined; ; ) {
    const known = await readRoles(from)
    const earliest = ctx.revocations.earliestIat(targets, known.asOf)
    if (earliest === undefined || earliest <= wholeSecond(known.asOf)) return known
    from = new Date(earliest * 1000)
    refuseBehind(ctx.clock.now(), from)
    await ctx.clock.until(from)
  }
}

/** For a token that says nothing of roles: as of now. */
function noRoles(ctx: Context): ReadRoles {
  return async () => ({ roles: [], asOf: ctx.clock.now() })
}

function wholeSecond(time: Date): number {
  return Math.floor(time.getTime() / 1000)
}

/** What tokens for the resource are signed by. */
export function signingAlgOf(ctx: Context, resource: Resource | undefined): SigningAlg {
  const alg = resource?.signingAlg ?? ctx.config.keys.signingAlg
  if (!isSigningAlg(alg))
    throw new ServerError('The resource has an unknown signing algorithm.', { reason: 'signing_alg_unknown' })
  return alg
}

/** What is known only when the roles are. */
interface Decided {
  readonly endable: Omit<EndableClaims, 'iat'>
  readonly iat: number
  readonly scope: readonly string[]
  readonly roles: readonly HeldRole[]
}

/** Member by member: spreads of half of them are what a token costs most besides its signature. */
function describe(
  ctx: Context,
  { client, target: { resource }, grant, user, key }: AccessTokenRequest,
  { endable, iat, scope, roles }: Decided,
): AccessTokenClaims {
  const end = grant?.expiresAt ?? key?.expiresAt
  const ends = end ? wholeSecond(end) : Number.POSITIVE_INFINITY
  const claims = {
    iss: ctx.config.server.issuer,
    jti: endable.jti,
    client_id: endable.client_id,
    sub: endable.sub,
    aud: endable.aud,
    grant_id: endable.grant_id,
    sid: endable.sid,
    key_owner: endable.key_owner,
    key_prefix: endable.key_prefix,
    key_chain: key?.chain,
    iat,
    exp: Math.min(iat + lifetimeOf(ctx, client, resource, scope), Math.max(ends, iat + 1)),
    scope: scope.length > 0 ? scope.join(' ') : undefined,
  }
  const asked = grant?.claims?.userinfo
  const told = asked && opensUserInfo(claims.scope) ? { ...claims, userinfo_claims: Object.keys(asked) } : claims
  if (!resource || resource.claims.length === 0) return told
  return { ...told, ...requestedClaims(resource, roles, grant, user && tellable(client, grant, user)) }
}

/** Seconds: the server's setting, lowered by the resource, the client and each scope. */
function lifetimeOf(
  ctx: Context,
  client: AccessTokenRequest['client'],
  resource: Resource | undefined,
  scope: readonly string[],
): number {
  let shortest = ctx.config.tokens.accessTokenLifetime
  const lower = (lifetime: number | undefined): void => {
    if (lifetime !== undefined && lifetime < shortest) shortest = lifetime
  }
  lower(client.accessTokenLifetime)
  if (!resource) return shortest
  lower(resource.tokenLifetime)
  for (const { name, tokenLifetime } of resource.scopes) if (scope.includes(name)) lower(tokenLifetime)
  return shortest
}

/**
 * Of a stranger's client that holds the token, too: it reads what stands in it. So nothing of the person does unless they
 * allowed the client to know that.
 */
function tellable(
  { selfRegistered }: AccessTokenRequest['client'],
  grant: Grant | undefined,
  { email, name }: NonNullable<AccessTokenRequest['user']>,
): { readonly email?: string; readonly name?: string | undefined } {
  if (!selfRegistered) return { email, name }
  return { ...(grant?.scope.includes('email') ? { email } : {}), ...(grant?.scope.includes('profile') ? { name } : {}) }
}

/** Claims that a resource may ask for; personal ones are in a token only where it did. */
export const optionalClaims = ['roles', 'auth_time', 'email', 'name'] as const

function requestedClaims(
  { identifier, claims }: Resource,
  roles: readonly HeldRole[],
  grant: Grant | undefined,
  user: Partial<NonNullable<AccessTokenRequest['user']>> | undefined,
): Partial<AccessTokenClaims> {
  const asked = new Set(claims)
  const held = roles.filter((role) => role.resource === identifier).map((role) => role.name)
  return {
    ...(asked.has('roles') ? { roles: held.sort() } : {}),
    ...(asked.has('auth_time') && grant ? { auth_time: Math.floor(grant.authTime.getTime() / 1000) } : {}),
    ...(asked.has('email') && user?.email !== undefined ? { email: user.email } : {}),
    ...(asked.has('name') && user?.name !== undefined ? { name: user.name } : {}),
  }
}
