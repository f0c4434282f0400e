import type { Context } from '../context.js'
import { hmacSha256, timingSafeEqual } from '../platform/crypto/hash.js'
import type { ApiKeyHash } from '../store/index.js'

/** A key as it is kept: HMAC-SHA-256 of all of it, under a key that is not readable from the database (attack 118). */
export function hashApiKey({ secrets }: Pick<Context, 'secrets'>, text: string): ApiKeyHash {
  const key = secrets.current
  return { hash: hmacSha256(key.derive('api key'), text), keyId: key.id }
}

/** In a time that does not tell how much of it is right. Where there is nothing to compare with, the work is the same. */
export function isApiKey({ secrets }: Pick<Context, 'secrets'>, text: string, kept: ApiKeyHash | undefined): boolean {
  const key = (kept && secrets.find(kept.keyId)) ?? secrets.current
  const equal = timingSafeEqual(hmacSha256(key.derive('api key'), text), kept?.hash ?? nothing)
  return kept !== undefined && key.id === kept.keyId && equal
}

const nothing = Buffer.alloc(32)
