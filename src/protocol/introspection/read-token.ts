import type { Context } from '../../context.js'
import { accessTokens } from '../../store/index.js'
import { type AccessTokenClaims, accessTokenType, readOpaque } from '../../tokens/index.js'

/**
 * The claims of an access token that we issued, JWT or opaque, and that has not expired.
 *
 * @param late seconds since it did that are overlooked
 * @returns undefined for anything else; whether it was revoked is not asked here
 */
export async function readAccessToken(ctx: Context, value: string, late = 0): Promise<AccessTokenClaims | undefined> {
  const opaque = readOpaque('oat', value)
  const claims = opaque
    ? ((await accessTokens.find(ctx.db, opaque.bucket, opaque.hash)) as AccessTokenClaims | undefined)
    : await readJwt(ctx, value)
  return claims && (claims.exp + late) * 1000 > ctx.clock.now().getTime() ? claims : undefined
}

async function readJwt(ctx: Context, value: string): Promise<AccessTokenClaims | undefined> {
  const claims = await ctx.keys.verify(value, accessTokenType)
  // Whatever we signed by this type has all of them.
  return claims?.['iss'] === ctx.config.server.issuer ? (claims as unknown as AccessTokenClaims) : undefined
}
