import type { Context } from '../../context.js'
import { endableBy } from '../../revocation/index.js'
import { accessTokens, type EndableBy } from '../../store/index.js'
import { type AccessTokenClaims, accessTokenType, type Opaque, readOpaque } from '../../tokens/index.js'

/**
 * An access token that we issued, JWT or opaque, and that has not expired.
 *
 * @param late seconds since it did that are overlooked
 * @returns undefined for anything else; whether it was revoked is not asked here
 */
export async function readAccessToken(ctx: Context, value: string, late = 0): Promise<PresentedToken | undefined> {
  const opaque = readOpaque('oat', value)
  const token = opaque ? await readRow(ctx, opaque) : await readJwt(ctx, value)
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

async function readJwt(ctx: Context, value: string): Promise<PresentedToken | undefined> {
  const token = await ctx.keys.verify(value, accessTokenType)
  if (token?.claims['iss'] !== ctx.config.server.issuer) return undefined
  // Whatever we signed by this type has all of them.
  const claims = token.claims as unknown as AccessTokenClaims
  return { claims, endableBy: endableBy(claims, token.kid) }
}
