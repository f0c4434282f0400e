import type { Client } from '../clients/index.js'
import type { Context } from '../context.js'
import { ServerError } from '../oauth/errors.js'
import type { Resource } from '../resources/index.js'
import { type EndableClaims, endableBy, refuseBehind, type StatusClaim, type TakenIndex } from '../revocation/index.js'
import {
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
  readonly scope?: string
  readonly roles?: readonly string[]
  readonly auth_time?: number
  readonly email?: string
  readonly name?: string
  /** Only in a JWT: whoever asks by introspection needs no list. */
  readonly status?: StatusClaim
}

/** Of RFC 9068 §2.1: what tells an access token from any other JWT. */
export const accessTokenType = 'at+jwt'

export interface AccessTokenRequest {
  readonly client: Client
  /** The user's id, or the client's where it acts for itself. */
  readonly sub: string
  /** Before roles have their say. */
  readonly target: TokenScope
  /** Where a user allowed it. */
  readonly grant?: Grant
  readonly user?: { readonly email: string; readonly name?: string | undefined }
  readonly readRoles: ReadRoles
}

/** The same with what the roles allow. */
interface Allowed extends Omit<AccessTokenRequest, 'target' | 'readRoles'>, TokenScope {
  readonly roles: readonly HeldRole[]
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
 * Makes the token; nothing is written.
 *
 * @throws {InvalidScopeError} when roles leave nothing of its scope
 */
export async function makeAccessToken(ctx: Context, request: AccessTokenRequest): Promise<MadeAccessToken> {
  const { target, readRoles, ...about } = request
  const { resource } = target
  const endable = describeEndable(ctx, request)
  const { roles, asOf } = await rolesToIssue(ctx, endable, saysRoles(resource) ? readRoles : noRoles(ctx))
  const scope = allowedScope(target, roles)
  const claims = describe(ctx, { ...about, resource, scope, roles }, { ...endable, iat: wholeSecond(asOf) })
  const expiresIn = claims.exp - wholeSecond(ctx.clock.now())
  if (resource?.tokenFormat === 'opaque') {
    const expiresAt = new Date(claims.exp * 1000)
    const token = drawOpaque(ctx, 'oat', dayBucket(expiresAt))
    const row = { bucket: token.bucket, hash: token.hash, claims: { ...claims }, expiresAt }
    return { value: token.value, scope, expiresIn, claims, row }
  }
  const alg = signingAlgOf(ctx, resource)
  if (ctx.config.statusLists.enabled === 'off') {
    return { value: await ctx.keys.sign(claims, { alg, typ: accessTokenType }), scope, expiresIn, claims }
  }
  const taken = await takeIndex(ctx, alg, claims)
  const value = await ctx.keys.sign(claims, { alg, typ: accessTokenType, member: taken.member })
  return { value, scope, expiresIn, claims, statusIndex: request.grant && describeIndex(taken, claims) }
}

/** Of the key that will sign: where that changes while an index is waited for, it is one of the next. */
async function takeIndex(ctx: Context, alg: SigningAlg, claims: AccessTokenClaims): Promise<TakenIndex> {
  const { client_id: clientId, aud: audience, iat, exp } = claims
  const service = claims.grant_id === undefined ? { clientId, audience } : undefined
  for (;;) {
    const request = { kid: ctx.keys.kidOf(alg), service, iat, exp }
    const taken = ctx.statusIndexes.take(request) ?? (await ctx.statusIndexes.lease(request))
    if (request.kid === ctx.keys.kidOf(alg)) return taken
  }
}

function describeIndex({ listId, idx, period }: TakenIndex, claims: AccessTokenClaims): NewStatusIndex {
  const bucket = dayBucket(statusLists.endOfStatusPeriod(period))
  return { bucket, listId, idx, sessionId: claims.sid, audience: claims.aud, iat: claims.iat }
}

function describeEndable(
  ctx: Context,
  { client, sub, target: { resource }, grant }: AccessTokenRequest,
): Omit<EndableClaims, 'iat'> {
  return {
    jti: ctx.random.uuid(),
    client_id: client.clientId,
    sub,
    aud: resource?.identifier ?? ctx.config.server.issuer,
    grant_id: grant?.id,
    sid: grant && !grant.offline ? grant.session?.id : undefined,
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

function signingAlgOf(ctx: Context, resource: Resource | undefined): SigningAlg {
  const alg = resource?.signingAlg ?? ctx.config.keys.signingAlg
  if (!isSigningAlg(alg))
    throw new ServerError('The resource has an unknown signing algorithm.', { reason: 'signing_alg_unknown' })
  return alg
}

function describe(ctx: Context, request: Allowed, endable: EndableClaims): AccessTokenClaims {
  const { client, scope, resource, grant } = request
  const { iat } = endable
  const ends = grant ? Math.floor(grant.expiresAt.getTime() / 1000) : Number.POSITIVE_INFINITY
  return {
    iss: ctx.config.server.issuer,
    ...endable,
    exp: Math.min(iat + lifetimeOf(ctx, client, resource, scope), Math.max(ends, iat + 1)),
    ...(scope.length > 0 ? { scope: scope.join(' ') } : {}),
    ...requestedClaims(request),
  }
}

/** Seconds: the server's setting, lowered by the resource, the client and each scope. */
function lifetimeOf(ctx: Context, client: Client, resource: Resource | undefined, scope: readonly string[]): number {
  const scopes = resource?.scopes.filter(({ name }) => scope.includes(name)) ?? []
  const lifetimes = [
    resource?.tokenLifetime,
    client.accessTokenLifetime,
    ...scopes.map(({ tokenLifetime }) => tokenLifetime),
  ]
  return Math.min(ctx.config.tokens.accessTokenLifetime, ...lifetimes.filter((lifetime) => lifetime !== undefined))
}

/** Claims that a resource may ask for; personal ones are in a token only where it did. */
export const optionalClaims = ['roles', 'auth_time', 'email', 'name'] as const

function requestedClaims({ resource, roles, grant, user }: Allowed): Partial<AccessTokenClaims> {
  if (!resource || resource.claims.length === 0) return {}
  const asked = new Set(resource.claims)
  const held = roles.filter((role) => role.resource === resource.identifier).map((role) => role.name)
  return {
    ...(asked.has('roles') ? { roles: held.sort() } : {}),
    ...(asked.has('auth_time') && grant ? { auth_time: Math.floor(grant.authTime.getTime() / 1000) } : {}),
    ...(asked.has('email') && user ? { email: user.email } : {}),
    ...(asked.has('name') && user?.name !== undefined ? { name: user.name } : {}),
  }
}
