import type { Context } from '../../context.js'
import { sha256 } from '../../platform/crypto/hash.js'
import { accessTokens } from '../../store/index.js'
import { type AccessTokenClaims, accessTokenType, readOpaque } from '../../tokens/index.js'

interface Remembered {
  readonly kid: string
  readonly claims: AccessTokenClaims
}

/** Tokens whose signature was checked: a resource server asks for the same one again and again. */
const capacity = 10_000
const verified = new WeakMap<object, Map<string, Remembered>>()

/**
 * The claims of an access token that we issued, JWT or opaque, and that has not expired.
 *
 * @returns undefined for anything else; whether it was revoked is not asked here
 */
export async function readAccessToken(ctx: Context, value: string): Promise<AccessTokenClaims | undefined> {
  const opaque = readOpaque('oat', value)
  const claims = opaque
    ? ((await accessTokens.find(ctx.db, opaque.bucket, opaque.hash)) as AccessTokenClaims | undefined)
    : await readJwt(ctx, value)
  return claims && claims.exp * 1000 > ctx.clock.now().getTime() ? claims : undefined
}

async function readJwt(ctx: Context, value: string): Promise<AccessTokenClaims | undefined> {
  let cache = verified.get(ctx.keys)
  if (!cache) verified.set(ctx.keys, (cache = new Map()))
  const key = sha256(value).toString('base64')
  const known = cache.get(key)
  // What a key signed ends with the key, remembered or not: it may have been stolen (attack 79).
  if (known) return ctx.keys.isPublished(known.kid) ? known.claims : undefined

  const token = await ctx.keys.verify(value, accessTokenType)
  if (!token || token.claims['iss'] !== ctx.config.server.issuer) return undefined
  const claims = token.claims as unknown as AccessTokenClaims
  cache.set(key, { kid: token.kid, claims })
  if (cache.size > capacity) cache.delete(cache.keys().next().value!)
  return claims
}
