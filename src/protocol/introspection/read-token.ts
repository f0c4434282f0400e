import type { Context } from '../../context.js'
import { endableBy } from '../../revocation/index.js'
import { accessTokens, type EndableBy } from '../../store/index.js'
import { type AccessTokenClaims, accessTokenType, type Opaque, readOpaque } from '../../tokens/index.js'

export interface ReadOptions {
  /** Seconds since it expired that are overlooked. */
  readonly late?: number
  /** What our keys have signed under another name of ours is read too. */
  readonly anyIssuer?: boolean
}

/**
 * An access token that we issued, JWT or opaque, and that has not expired.
 *
 * @returns undefined for anything else; whether it was revoked is not asked here
 */
export async function readAccessToken(
  ctx: Context,
  value: string,
  { late = 0, anyIssuer = false }: ReadOptions = {},
): Promise<PresentedToken | undefined> {
  const opaque = readOpaque('oat', value)
  const token = opaque ? await readRow(ctx, opaque) : await readJwt(ctx, value, anyIssuer)
  return token && (token.claims.exp + late) * 1000 > ctx.clock.now().getTime() ? token : undefined
}

export interface PresentedToken {
  readonly claims: AccessTokenClaims
  readonly endableBy: readonly EndableBy[]
}

async function readRow(ctx: Context, { bucket, hash }: Opaque): Promise<PresentedToken | undefined> {
  const claims = await accessTokens.find(ctx.db, bucket, hash)
  return claims && isAccessTokenClaims(claims) ? { claims, endableBy: endableBy(claims) } : undefined
}

async function readJwt(ctx: Context, value: string, anyIssuer: boolean): Promise<PresentedToken | undefined> {
  const token = await ctx.keys.verify(value, accessTokenType)
  if (!token || (token.claims['iss'] !== ctx.config.server.issuer && !anyIssuer)) return undefined
  const { aud, iss } = token.claims
  // As we write it where UserInfo is a second place: the API, and we.
  const isShared = Array.isArray(aud) && aud.length === 2 && aud[1] === iss
  const claims = isShared ? { ...token.claims, aud: aud[0] } : token.claims
  return isAccessTokenClaims(claims) ? { claims, endableBy: endableBy(claims, token.kid) } : undefined
}

/** Whatever we signed by this type has all of them, and the others as we write them. */
function isAccessTokenClaims(claims: object): claims is AccessTokenClaims {
  const { iss, jti, client_id, sub, aud, iat, exp }: Partial<AccessTokenClaims> = claims
  const areTexts = [iss, jti, client_id, sub, aud].every((each) => typeof each === 'string')
  return areTexts && typeof iat === 'number' && typeof exp === 'number'
}
