import type { Context } from '../../context.js'
import type { Gateway } from '../../gateways/index.js'
import { endableBy, refuseBehind } from '../../revocation/index.js'
import { signingAlgOf } from '../../tokens/index.js'
import { type CredentialWorth, isInvalid, requireResource } from './credential-worth.js'

/** What tells it from an access token, so that none of our endpoints and no API takes it for one. */
export const gatewayTokenType = 'gateway+jwt'

export interface GatewayToken {
  readonly value: string
  /** Seconds since 1970. */
  readonly iat: number
  readonly exp: number
  /** Of the key that signed it. */
  readonly kid: string
}

/**
 * The token that the API behind the gateway sees in place of the credential: for a minute at most, and never for longer
 * than the credential.
 *
 * @returns undefined where nothing can be signed in this second, which a not-before ends: it was waited for
 * @throws {InvalidTokenError} {TemporarilyUnavailableError}
 */
export async function signGatewayToken(
  ctx: Context,
  gateway: Gateway,
  worth: CredentialWorth,
): Promise<GatewayToken | undefined> {
  const now = ctx.clock.now()
  const iat = Math.floor(now.getTime() / 1000)
  const end = worth.endsAt ? Math.floor(worth.endsAt.getTime() / 1000) : Number.POSITIVE_INFINITY
  const exp = Math.min(iat + gateway.tokenLifetime, end)
  if (exp <= iat) throw isInvalid('credential_expired')
  const claims = {
    iss: ctx.config.server.issuer,
    jti: ctx.random.uuid(),
    client_id: worth.clientId,
    sub: worth.sub,
    aud: gateway.resource,
    ...worth.claims,
    credential: worth.credential,
    scope: worth.scope.join(' '),
    iat,
    exp,
  }
  const earliest = ctx.revocations.earliestIat(endableBy(claims), now)
  if (earliest === undefined) throw isInvalid('credential_revoked')
  if (earliest > iat) {
    const from = new Date(earliest * 1000)
    refuseBehind(now, from)
    await ctx.clock.until(from)
    return undefined
  }
  const alg = signingAlgOf(ctx, requireResource(ctx, gateway))
  // Asked before: where the key changes meanwhile, a token of the new one is taken for the old one's, and ends with it early.
  const kid = ctx.keys.kidOf(alg)
  return { value: await ctx.keys.sign(claims, { alg, typ: gatewayTokenType }), iat, exp, kid }
}
