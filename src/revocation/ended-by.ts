import { TemporarilyUnavailableError } from '../oauth/index.js'
import { clockTolerance } from '../platform/clock.js'
import type { ApiKeyOwner, EndableBy } from '../store/index.js'

/** The claims by which a token can be ended. */
export interface EndableClaims {
  readonly jti: string
  readonly iat: number
  readonly client_id: string
  readonly sub: string
  readonly aud: string
  /** Only where a user granted it: then `sub` is that user. */
  readonly grant_id?: string | undefined
  readonly sid?: string | undefined
  /** Only where an API key was exchanged for it: then `client_id` is the key's id, and `sub` its owner, who is this. */
  readonly key_owner?: ApiKeyOwner['kind'] | undefined
  /** What the key's text begins with. */
  readonly key_prefix?: string | undefined
}

/** A role withdrawn concerns its holder at one resource. */
export function roleTarget(holder: string, resource: string): string {
  return `${holder} ${resource}`
}

/** Whose role it was, of such a target. An identifier of a resource is a URL, and has no space. */
export function roleHolder(target: string): string {
  return target.slice(0, target.lastIndexOf(' '))
}

/** Keys that are ended together. */
export type KeySet =
  | { readonly kind: 'all' }
  | { readonly kind: 'prefix'; readonly prefix: string }
  | { readonly kind: 'owner'; readonly owner: ApiKeyOwner }

export function keySetTarget(set: KeySet): string {
  if (set.kind === 'all') return 'all'
  return set.kind === 'prefix' ? `prefix:${set.prefix}` : `owner:${set.owner.kind}:${set.owner.id}`
}

/** What ends an API key besides its own revocation. */
export function endsOfApiKey({
  owner,
  prefix,
}: {
  readonly owner: ApiKeyOwner
  readonly prefix: string
}): readonly EndableBy[] {
  const sets: readonly KeySet[] = [{ kind: 'all' }, { kind: 'prefix', prefix }, { kind: 'owner', owner }]
  return [
    ...sets.map((set) => ({ kind: 'api_keys' as const, target: keySetTarget(set) })),
    { kind: owner.kind, target: owner.id },
  ]
}

/** For whom a token is that no user granted: a client that acts for itself, or whoever exchanged an API key. */
export interface Service {
  /** Of the client, or the id of the key. */
  readonly clientId: string
  readonly audience: string
  readonly key?: { readonly owner: ApiKeyOwner; readonly prefix: string } | undefined
}

/** What ends all tokens of a service. */
export function endsOfService({ clientId, audience, key }: Service): readonly EndableBy[] {
  const role = { kind: 'role', target: roleTarget(key?.owner.id ?? clientId, audience) } as const
  if (!key) return [{ kind: 'client', target: clientId }, role]
  return [{ kind: 'api_key', target: clientId }, ...endsOfApiKey(key), role]
}

/** @returns undefined for the token of a user's grant */
export function serviceOf(claims: Omit<EndableClaims, 'iat' | 'jti'>): Service | undefined {
  if (claims.grant_id !== undefined) return undefined
  const { client_id: clientId, aud: audience, sub, key_owner: kind, key_prefix: prefix = '' } = claims
  return { clientId, audience, key: kind && { owner: { kind, id: sub }, prefix } }
}

/**
 * Everything whose revocation ends a token with these claims.
 *
 * @param kid the key that signed it, where one did
 */
export function endableBy(claims: Omit<EndableClaims, 'iat'>, kid?: string): readonly EndableBy[] {
  const targets: EndableBy[] = [{ kind: 'token', target: claims.jti }]
  if (claims.key_owner !== undefined) targets.push(...endsOfService(serviceOf(claims)!))
  else {
    targets.push(
      { kind: 'client', target: claims.client_id },
      { kind: 'role', target: roleTarget(claims.sub, claims.aud) },
    )
  }
  if (claims.grant_id !== undefined) {
    targets.push({ kind: 'grant', target: claims.grant_id }, { kind: 'user', target: claims.sub })
  }
  if (claims.sid !== undefined) targets.push({ kind: 'session', target: claims.sid })
  if (kid !== undefined) targets.push({ kind: 'key', target: kid })
  return targets
}

/**
 * Whether the entry ends a token that was issued at `iat`, if its target is one of the token's. `iat` has whole seconds:
 * whatever was issued in the second of the instant is ended, and the issuer gives no later token such an `iat`.
 */
export function ends(
  { terminal, instant }: { readonly terminal: boolean; readonly instant: Date | number },
  iat: number,
): boolean {
  return terminal || iat <= Math.floor(Number(instant) / 1000)
}

/**
 * For whoever would issue something that a not-before ends at once: whether its end is near enough to be waited for.
 *
 * @throws {TemporarilyUnavailableError} when the clock must have been set back, or another process's is far ahead
 */
export function refuseBehind(now: Date, earliest: Date): void {
  const wait = earliest.getTime() - now.getTime()
  if (wait <= clockTolerance) return
  throw new TemporarilyUnavailableError('The server cannot answer now.', {
    reason: 'clock_behind_revocation',
    retryAfter: Math.ceil(wait / 1000),
  })
}
