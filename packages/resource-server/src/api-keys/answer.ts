import { type AccessToken, knownToken } from '../access-token.js'
import { isFor } from '../introspection.js'
import { isObject, isStrings, type JsonObject } from '../json.js'
import type { RevocationTarget } from '../revocation/entries.js'

/** What the server says of a key, and when it was asked. */
export interface KnownKey {
  readonly token: AccessToken
  readonly kind: ApiKeyKind
  /** In CIDR notation; empty: from anywhere. */
  readonly networks: readonly string[]
  /** Of pages, for a publishable key. */
  readonly origins: readonly string[]
  /** Whatever the server may say of these can change the answer. */
  readonly targets: readonly RevocationTarget[]
  /** Of the news of the feed: what is heard later may have changed it. */
  readonly askedAt: number
}

export type ApiKeyKind = 'secret' | 'publishable' | 'signing'

const kinds: readonly ApiKeyKind[] = ['secret', 'publishable', 'signing']

/**
 * Takes in what introspection says of a key.
 *
 * @returns undefined for anything else, and for what cannot be understood to the last word: it could be a restriction
 */
export function readKeyAnswer(
  claims: JsonObject,
  { issuer, audience }: { readonly issuer: string; readonly audience: string },
  askedAt: number,
): KnownKey | undefined {
  const { token_type, client_id, sub, exp, scope, api_key: described } = claims
  if (!isFor(claims, issuer, audience) || token_type !== 'api_key' || !isObject(described)) return undefined
  const { kind: name, prefix, owner, networks, origins = [] } = described
  const kind = kinds.find((each) => each === name)
  if (exp !== undefined && typeof exp !== 'number') return undefined
  const isUnderstood =
    (scope === undefined || typeof scope === 'string') &&
    (owner === 'user' || owner === 'client') &&
    typeof prefix === 'string' &&
    isStrings(networks) &&
    isStrings(origins)
  if (!kind || !isUnderstood) return undefined
  const token = Object.freeze({ ...knownToken(claims, 0).token, expiresAt: exp ?? Number.POSITIVE_INFINITY })
  const targets: readonly RevocationTarget[] = [
    { kind: 'api_key', id: String(client_id) },
    { kind: 'api_key_state', id: String(client_id) },
    { kind: 'api_keys', id: 'all' },
    { kind: 'api_keys', id: `prefix:${prefix}` },
    { kind: 'api_keys', id: `owner:${owner}:${sub}` },
    { kind: owner, id: String(sub) },
    { kind: 'role', id: String(sub) },
  ]
  return { token, kind, networks, origins, targets, askedAt }
}

/**
 * What an API tells whoever still uses a key that has a successor: since when, and until when. RFC 9745 §2, RFC 8594 §3.
 *
 * @returns undefined for every other key or token
 */
export function deprecationOf({ claims, expiresAt }: AccessToken): Readonly<Record<string, string>> | undefined {
  const { api_key: described } = claims
  const since = isObject(described) ? described['deprecated_at'] : undefined
  if (typeof since !== 'number') return undefined
  const deprecation = { deprecation: `@${Math.floor(since)}` }
  return Number.isFinite(expiresAt) ? { ...deprecation, sunset: new Date(expiresAt * 1000).toUTCString() } : deprecation
}
