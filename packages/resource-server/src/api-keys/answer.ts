import { type AccessToken, keyChainOf, knownToken } from '../access-token.js'
import { isFor } from '../introspection.js'
import { isObject, isStrings, type JsonObject } from '../json.js'
import { isTierName, ofChain, ofClient } from '../limits/count-request.js'
import type { RevocationTarget } from '../revocation/entries.js'
import type { CountedCredential } from '../usage.js'

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
  const { kind: name, prefix, owner, networks, origins = [], chain, tier, tier_by: by } = described
  const kind = kinds.find((each) => each === name)
  if (exp !== undefined && typeof exp !== 'number') return undefined
  const isUnderstood =
    (scope === undefined || typeof scope === 'string') &&
    (owner === 'user' || owner === 'client') &&
    typeof prefix === 'string' &&
    isStrings(networks) &&
    isStrings(origins) &&
    (chain === undefined || typeof chain === 'string') &&
    (tier === undefined || typeof tier === 'string') &&
    (by === undefined || by === 'key' || by === 'client')
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
export function deprecationOf(token: AccessToken): Readonly<Record<string, string>> | undefined {
  const since = deprecatedAt(token)
  if (since === undefined) return undefined
  const { expiresAt } = token
  const deprecation = { deprecation: `@${Math.floor(since)}` }
  return Number.isFinite(expiresAt) ? { ...deprecation, sunset: new Date(expiresAt * 1000).toUTCString() } : deprecation
}

/** The key as its uses are counted, here by its tier and at the server. @param token of a key that was shown */
export function countedKey(token: AccessToken): CountedCredential {
  const { tier, tier_by: by, kind } = describedKey(token)
  const id = token.clientId
  const superseded = deprecatedAt(token) !== undefined
  // A server of the release before took any text for one: what cannot be the name of a tier limits nothing there, either.
  if (!isTierName(tier)) return { kind: 'api_key', id, superseded }
  // A client that has the tier shares it among its keys; a key that has it, with those that it took the place of.
  const ofOwner = (): string => ofClient(token.sub, kind === 'publishable' ? 'publishable' : 'own')
  const sharedBy = by === 'client' ? ofOwner() : ofChain(keyChainOf(token) ?? id)
  return { kind: 'api_key', id, superseded, tier, sharedBy }
}

/** Seconds since 1970. */
function deprecatedAt(token: AccessToken): number | undefined {
  const { deprecated_at: since } = describedKey(token)
  return typeof since === 'number' ? since : undefined
}

function describedKey({ claims: { api_key: described } }: AccessToken): JsonObject {
  return isObject(described) ? described : {}
}
