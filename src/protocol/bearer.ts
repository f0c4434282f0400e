import type { FastifyRequest } from 'fastify'
import type { Context } from '../context.js'
import { bearerToken } from '../http/index.js'
import { InsufficientScopeError, InvalidTokenError } from '../oauth/index.js'
import { type PresentedToken, readAccessToken } from './introspection/index.js'

/**
 * The access token of a request to this server itself: ours, meant for us, alive, and with the scope. What is revoked is
 * known from memory, so within the half second of its poll.
 *
 * @throws {MissingTokenError} {InvalidTokenError} {InsufficientScopeError} {InvalidRequestError} RFC 6750 §3.1
 * @throws {TemporarilyUnavailableError} while what is revoked is not known
 */
export async function authorizeBearer(ctx: Context, request: FastifyRequest, scope: string): Promise<PresentedToken> {
  const value = bearerToken(request)
  ctx.assertFresh()
  const token = await readAccessToken(ctx, value)
  if (!token || token.claims.aud !== ctx.config.server.issuer || isRevoked(ctx, token)) throw invalid()
  if (!token.claims.scope?.split(' ').includes(scope)) {
    throw new InsufficientScopeError('The access token does not have the scope.', { reason: 'scope_missing', scope })
  }
  return token
}

/** Whether it has ended since it was accepted: for answers that go on. */
export function hasEnded(ctx: Context, token: PresentedToken): boolean {
  return token.claims.exp * 1000 <= ctx.clock.now().getTime() || isRevoked(ctx, token)
}

function isRevoked(ctx: Context, { endableBy, claims }: PresentedToken): boolean {
  return ctx.revocations.ends(endableBy, claims.iat)
}

function invalid(): InvalidTokenError {
  return new InvalidTokenError('The access token is unknown, expired, revoked or meant for somebody else.', {
    reason: 'token_invalid',
  })
}
