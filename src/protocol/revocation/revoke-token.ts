import { endApiKey, looksLikeApiKey, showApiKey } from '../../api-keys/index.js'
import type { Client } from '../../clients/index.js'
import type { Context } from '../../context.js'
import { InvalidGrantError } from '../../oauth/index.js'
import { type RevocationCause, revoke } from '../../revocation/index.js'
import { refreshTokens } from '../../store/index.js'
import { clientOf, readOpaque } from '../../tokens/index.js'
import { readAccessToken } from '../introspection/index.js'

/** Seconds that a process's clock may be wrong, and what it answered be true nevertheless. */
const wrongestClock = 86_400

/**
 * Takes back a token by its value. A refresh token ends with its grant, so with every access token that came of it; an
 * access token ends alone. RFC 7009 §2.1. An API key is its owner's to take back.
 *
 * @param client whose token it must be; undefined: an operator revokes
 * @returns 'unknown' also for what has expired or ended
 * @throws {InvalidGrantError} when it is another client's. RFC 7009 §2.1 (attack 85)
 */
export async function revokeTokenValue(
  ctx: Context,
  value: string,
  cause: RevocationCause,
  client?: Client,
): Promise<'revoked' | 'unknown'> {
  const own = (clientId: string | undefined): void => {
    if (client && client.clientId !== clientId) {
      throw new InvalidGrantError('The token was not issued to this client.', { reason: 'token_of_another_client' })
    }
  }

  if (looksLikeApiKey(value)) {
    const { key, problem } = await showApiKey(ctx, value)
    if (!key) return 'unknown'
    own(key.owner.kind === 'client' ? key.owner.id : undefined)
    if (problem !== undefined) return 'unknown'
    await endApiKey(ctx, key.id, { cause })
    return 'revoked'
  }

  const opaque = readOpaque('ort', value)
  if (opaque) {
    const token = await refreshTokens.find(ctx.db, opaque.bucket, opaque.hash, ctx.clock.now())
    if (!token) return 'unknown'
    own(token.clientId)
    if (!token.standing) return 'unknown'
    await revoke(ctx, { kind: 'grant', ...token.grant }, cause)
    return 'revoked'
  }

  // What has expired by our clock may be good by another's: until nobody's can be that wrong, it is revoked (attack 133).
  // An operator's command may not know by which address the server goes: what our keys signed is ours.
  const token = await readAccessToken(ctx, value, { late: wrongestClock, anyIssuer: client === undefined })
  if (!token) return 'unknown'
  const { claims } = token
  own(clientOf(claims))
  // What is remembered was committed. Else one token could be revoked for ever, each time with an event.
  if (ctx.revocations.ends(token.endableBy, claims.iat)) return 'unknown'
  const { jti, client_id: clientId, aud: audience, grant_id: id, sub, exp, status } = claims
  const grant = id === undefined ? undefined : { id, userId: sub }
  await revoke(ctx, { kind: 'token', jti, clientId, audience, grant, status, expiresAt: new Date(exp * 1000) }, cause)
  return 'revoked'
}
