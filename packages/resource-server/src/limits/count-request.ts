import { type AccessToken, keyIdOf } from '../access-token.js'
import { isObject } from '../json.js'
import type { AddressOf, RequestLike } from '../request.js'
import { networkOf, normaliseAddress } from './address.js'
import { rateLimitFields } from './fields.js'
import type { Verdict } from './leases.js'
import type { Limits } from './limits.js'

/** A limit on requests. */
export interface Limit {
  /** As `ostiary tier create` named it. */
  readonly tier: string
  /**
   * Who shares what it allows. `client`: the client of the token, or the one that owns the API key; a key of a user is a client
   * of its own. `subject`: its user, or the client where it acts for itself. `key`: the API key, or the client where the token is
   * of none. `address` (IPv6: its /64) and `network` (the /24 of IPv4, the /64 of IPv6): where the request comes from; these are
   * counted before the token is looked at.
   */
  readonly by: 'client' | 'subject' | 'key' | 'address' | 'network'
}

export const isBeforeToken = ({ by }: Limit): boolean => by === 'address' || by === 'network'

/** @throws {TypeError} */
export function checkLimits(limits: readonly Limit[]): void {
  for (const { tier, by } of limits) {
    if (typeof tier !== 'string' || !/^[a-z0-9._-]{1,64}$/.test(tier)) throw new TypeError(`${tier} is no tier`)
    if (!['client', 'subject', 'key', 'address', 'network'].includes(by))
      throw new TypeError(`${by} is nothing to limit by`)
  }
}

export interface Counted {
  /** Whether all limits allow it. */
  readonly accepted: boolean
  /** What they say of themselves. */
  readonly headers: Readonly<Record<string, string>>
}

/** Counts a request for each of the limits, up to the first that is used up. */
export async function countRequest(
  limits: Limits,
  wanted: readonly Limit[],
  who: (limit: Limit) => string,
): Promise<Counted | undefined> {
  const verdicts: Verdict[] = []
  for (const limit of wanted) {
    const taken = limits.take(limit.tier, `${limit.by}\0${who(limit)}`)
    const verdict = taken instanceof Promise ? await taken : taken
    if (verdict) verdicts.push(verdict)
    if (verdict?.accepted === false) break
  }
  const last = verdicts.at(-1)
  if (!last) return undefined
  const headers = verdicts.map(rateLimitFields).reduce((all, each) => join(all, each))
  if (last.accepted) return { accepted: true, headers }
  return { accepted: false, headers: { ...headers, 'Retry-After': String(last.retryAfter) } }
}

type Fields = Readonly<Record<string, string>>

/** Several limits are a list in each field. */
export function join(left: Fields, right: Fields): Fields {
  const names = new Set([...Object.keys(left), ...Object.keys(right)])
  return Object.fromEntries([...names].map((name) => [name, [left[name], right[name]].filter(Boolean).join(', ')]))
}

export function ofAddress(request: RequestLike, addressOf: AddressOf): (limit: Limit) => string {
  return ({ by }) => {
    const address = normaliseAddress(addressOf(request))
    // Who has one address of IPv6 has all of its /64, and would be somebody else with each.
    return by === 'network' || address.includes(':') ? networkOf(address) : address
  }
}

export function ofToken(token: AccessToken): (limit: Limit) => string {
  const { sub, clientId } = token
  return ({ by }) => {
    if (by === 'subject') return sub
    if (by === 'key') return keyIdOf(token) ?? clientId
    // Its `client_id` is the key, and a client that owns keys can make further ones.
    return ownerOf(token) === 'client' ? sub : clientId
  }
}

function ownerOf({ claims: { api_key: described, key_owner } }: AccessToken): unknown {
  return isObject(described) ? described['owner'] : key_owner
}
