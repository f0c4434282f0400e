import { OAuthError } from '../oauth/index.js'
import type { ApiKey } from '../store/index.js'

/**
 * What every answer to a key that has a successor says: since when it has one, and when it ends. RFC 9745 §2, RFC 8594 §3.
 *
 * @returns undefined for every other key
 */
export function deprecationFields({
  rotatedAt,
  expiresAt,
}: Pick<ApiKey, 'rotatedAt' | 'expiresAt'>): Readonly<Record<string, string>> | undefined {
  if (!rotatedAt) return undefined
  const deprecation = { Deprecation: `@${Math.floor(rotatedAt.getTime() / 1000)}` }
  return expiresAt ? { ...deprecation, Sunset: expiresAt.toUTCString() } : deprecation
}

/** Has the refusal of such a key say so too: whoever gets nothing but these must hear of it as well. */
export function addDeprecation(error: unknown, key: ApiKey): void {
  const fields = deprecationFields(key)
  if (fields && error instanceof OAuthError) error.headers = { ...error.headers, ...fields }
}
