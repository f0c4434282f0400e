import { freezeDeep, isObject, isStrings, type JsonObject } from './json.js'
import type { RevocationTarget } from './revocation/entries.js'
import type { VerificationKey } from './verification-key.js'

/** A token that was found good. Requests that bring the same one share it, so nothing in it can be changed. */
export interface AccessToken {
  /** The user's id, or the client's where it acts for itself. */
  readonly sub: string
  readonly clientId: string
  readonly scope: readonly string[]
  /** Of this API; empty where the token says none (`resource update --claims roles`). */
  readonly roles: readonly string[]
  /** Seconds since 1970; `Infinity` for an API key that does not expire. */
  readonly expiresAt: number
  /** Of the API key, where two credentials were shown and one was a key; else what it says tells (`keyIdOf`). */
  readonly keyId?: string
  /** The same of the first key of its chain of rotations (`keyChainOf`). */
  readonly keyChain?: string
  /** Everything that it says. */
  readonly claims: JsonObject
}

/** The id of the API key that was shown, or exchanged for the token; undefined where it is of none. */
export function keyIdOf({ keyId, clientId, claims }: AccessToken): string | undefined {
  // The `client_id` of either is the key.
  return keyId ?? (isObject(claims['api_key']) || claims['key_owner'] !== undefined ? clientId : undefined)
}

/**
 * The id of the first key of the chain of rotations that the API key stands in: by it uses are counted, so that a rotation
 * gives nobody more of them.
 */
export function keyChainOf(token: AccessToken): string | undefined {
  const { keyChain, claims } = token
  const { api_key: described, key_chain } = claims
  const chain = keyChain ?? (isObject(described) ? described['chain'] : key_chain)
  const id = keyIdOf(token)
  // A server of the release before says none.
  return id !== undefined && typeof chain === 'string' ? chain : id
}

/** What the verifier remembers of one. */
export interface KnownToken {
  readonly token: AccessToken
  /** Seconds since 1970 from which it is good; with the skew of clocks until it ends. */
  readonly from: number
  readonly until: number
  readonly iat: number
  /** Everything whose revocation ends it. */
  readonly targets: readonly RevocationTarget[]
  /** What state of revocations and keys it was last compared with. */
  readonly comparedWith: { version: number }
  /** What signed it; undefined for an opaque one. */
  readonly key: VerificationKey | undefined
}

/** @param claims checked before */
export function knownToken(claims: JsonObject, skew: number, key?: VerificationKey): KnownToken {
  const { sub, client_id, jti, iat, exp, nbf, scope, roles, grant_id, sid, key_owner } = claims
  const text = (value: unknown): string => (typeof value === 'string' ? value : '')
  const number = (value: unknown, otherwise: number): number => (typeof value === 'number' ? value : otherwise)
  const targets: RevocationTarget[] = [{ kind: 'role', id: text(sub) }]
  if (typeof key_owner === 'string') targets.push(...endsOfKey(claims, key_owner))
  else targets.push({ kind: 'client', id: text(client_id) })
  if (typeof jti === 'string') targets.push({ kind: 'token', id: jti })
  // Then a user allowed it, and `sub` is that user.
  if (typeof grant_id === 'string') targets.push({ kind: 'grant', id: grant_id }, { kind: 'user', id: text(sub) })
  if (typeof sid === 'string') targets.push({ kind: 'session', id: sid })
  if (key?.kid !== undefined) targets.push({ kind: 'key', id: key.kid })
  const expiresAt = number(exp, 0)
  return {
    token: freezeDeep({
      sub: text(sub),
      clientId: text(client_id),
      scope: text(scope) === '' ? [] : text(scope).split(' '),
      roles: isStrings(roles) ? roles : [],
      expiresAt,
      claims,
    }),
    from: Math.max(number(nbf, 0), number(iat, 0)) - skew,
    until: expiresAt + skew,
    // Without one, any not-before ends it.
    iat: number(iat, 0),
    targets,
    comparedWith: { version: -1 },
    key,
  }
}

/** Of a token that an API key was exchanged for: its client is the key, which ends by itself, with others, or with its owner. */
function endsOfKey({ client_id, key_prefix, sub }: JsonObject, owner: string): readonly RevocationTarget[] {
  return [
    { kind: 'api_key', id: String(client_id) },
    { kind: 'api_keys', id: 'all' },
    { kind: 'api_keys', id: `prefix:${key_prefix}` },
    { kind: 'api_keys', id: `owner:${owner}:${sub}` },
    { kind: owner === 'user' ? 'user' : 'client', id: String(sub) },
  ]
}
