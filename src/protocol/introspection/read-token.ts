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
  const claims = (await accessTokens.find(ctx.db, bucket, hash)) as AccessTokenClaims | undefined
  return claims && { claims, endableBy: endableBy(claims) }
}

async function readJwt(ctx: Context, value: string, anyIssuer: boolean): Promise<PresentedToken | undefined> {
  const token = await ctx.keys.verify(value, accessTokenType)
  if (!token || (token.claims['iss'] !== ctx.config.server.issuer && !anyIssuer)) return undefined
  // Whatever we signed by this type has all of them.
  const claims = token.claims as unknown as AccessTokenClaims
  return { claims, endableBy: endableBy(claims, token.kid) }
}
