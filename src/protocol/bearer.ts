import type { FastifyRequest } from 'fastify'
import type { Context } from '../context.js'
import { bearerToken, originOf } from '../http/index.js'
import { InsufficientScopeError, InvalidTokenError } from '../oauth/index.js'
import { isLetIn } from '../platform/network.js'
import { type PresentedToken, readAccessToken } from './introspection/index.js'

/** Where a request comes from. */
export type AddressOf = () => string | undefined

/** Seconds. */
const day = 86_400

/**
 * The access token of a request to this server itself: ours, meant for us, alive, and with the scope. What is revoked is
 * known from memory, so within the half second of its poll.
 *
 * @throws {MissingTokenError} {InvalidTokenError} {InsufficientScopeError} {InvalidRequestError} RFC 6750 §3.1
 * @throws {TemporarilyUnavailableError} while what is revoked is not known
 */
export async function authorizeBearer(ctx: Context, request: FastifyRequest, scope: string): Promise<PresentedToken> {
  const ipOf = () => originOf(request).ip
  const token = await readLiveToken(ctx, bearerToken(request), ipOf)
  if (token.claims.aud !== ctx.config.server.issuer) throw aboutClient(ctx, token, ipOf, invalid('token_of_another'))
  if (!token.claims.scope?.split(' ').includes(scope)) {
    const error = new InsufficientScopeError('The access token does not have the scope.', {
      ...{ reason: 'scope_missing', scope },
    })
    throw aboutClient(ctx, token, ipOf, error)
  }
  await requireNetwork(ctx, request, token)
  return token
}

/**
 * The same, for whomever it is and whatever it allows.
 *
 * @param ipOf who asks: for the audit, and read by what is refused alone
 * @throws {InvalidTokenError} {TemporarilyUnavailableError}
 */
export async function readLiveToken(ctx: Context, value: string, ipOf: AddressOf): Promise<PresentedToken> {
  ctx.assertFresh()
  const token = await readAccessToken(ctx, value)
  if (!token) throw await refusalOf(ctx, value, ipOf)
  if (isRevoked(ctx, token)) throw aboutClient(ctx, token, ipOf, invalid('token_ended'))
  return token
}

/** For the audit: whoever integrates must not have to guess whether it was a token at all. */
async function refusalOf(ctx: Context, value: string, ipOf: AddressOf): Promise<InvalidTokenError> {
  const expired = await readAccessToken(ctx, value, { late: day })
  return expired ? aboutClient(ctx, expired, ipOf, invalid('token_expired')) : invalid()
}

/** Writes down whose token it was, which whoever answers does not know. */
export function aboutClient<Refusal extends InvalidTokenError | InsufficientScopeError>(
  ctx: Context,
  { claims }: PresentedToken,
  ipOf: AddressOf,
  error: Refusal,
): Refusal {
  ctx.audit.refused(error, { clientId: claims.client_id, ip: ipOf() })
  return error
}

/**
 * A client may prove itself from its networks alone, and a token that it has for itself is no way around that.
 *
 * @throws {InvalidTokenError}
 */
async function requireNetwork(ctx: Context, request: FastifyRequest, { claims }: PresentedToken): Promise<void> {
  const { client_id: clientId, grant_id: grantId, key_owner: keyOwner } = claims
  if (grantId !== undefined || keyOwner !== undefined) return
  const client = await ctx.clients.find(clientId)
  const { ip } = originOf(request)
  if (!client || isLetIn(ip, client.allowedNetworks)) return
  ctx.audit.count({ type: 'token.refused', actor: `client:${clientId}`, clientId, reason: 'client_network', ip })
  const error = invalid('client_network')
  ctx.audit.told(error)
  throw error
}

/** Whether it has ended since it was accepted: for answers that go on. */
export function hasEnded(ctx: Context, token: PresentedToken): boolean {
  return token.claims.exp * 1000 <= ctx.clock.now().getTime() || isRevoked(ctx, token)
}

function isRevoked(ctx: Context, { endableBy, claims }: PresentedToken): boolean {
  return ctx.revocations.ends(endableBy, claims.iat)
}

function invalid(reason = 'token_invalid'): InvalidTokenError {
  return new InvalidTokenError('The access token is unknown, expired, revoked or meant for somebody else.', { reason })
}
