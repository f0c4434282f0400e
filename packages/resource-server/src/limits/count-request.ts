import { type AccessToken, keyChainOf } from '../access-token.js'
import { isObject } from '../json.js'
import type { AddressOf, RequestLike } from '../request.js'
import type { CountedCredential } from '../usage.js'
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
   * of its own. `subject`: its user, or the client where it acts for itself. `key`: the API key with all before it that it took
   * the place of, or the client where the token is of none. `address` (IPv6: its /64) and `network` (the /24 of IPv4, the /64 of IPv6): where the request comes from; these are
   * counted before the token is looked at.
   */
  readonly by: 'client' | 'subject' | 'key' | 'address' | 'network'
}

export const isBeforeToken = ({ by }: Limit): boolean => by === 'address' || by === 'network'

export function isTierName(tier: unknown): tier is string {
  return typeof tier === 'string' && /^[a-z0-9._-]{1,64}$/.test(tier)
}

/** @throws {TypeError} */
export function checkLimits(limits: readonly Limit[]): void {
  for (const { tier, by } of limits) {
    if (!isTierName(tier)) throw new TypeError(`${tier} is no tier`)
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

/** What a request counts for. */
export interface Share {
  readonly tier: string
  /** Of those who have the tier; never the same text for two kinds of them. */
  readonly who: string
}

/** Counts a request for each of these, up to the first that is used up. */
export async function countRequest(limits: Limits, shares: readonly Share[]): Promise<Counted | undefined> {
  const verdicts: Verdict[] = []
  for (const { tier, who } of shares) {
    const taken = limits.take(tier, who)
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

export function ofAddress(limits: readonly Limit[], request: RequestLike, addressOf: AddressOf): readonly Share[] {
  return limits.map(({ tier, by }) => {
    const address = normaliseAddress(addressOf(request))
    // Who has one address of IPv6 has all of its /64, and would be somebody else with each.
    const counted = by === 'network' || address.includes(':') ? networkOf(address) : address
    return { tier, who: `${by}\0${counted}` }
  })
}

export function ofToken(limits: readonly Limit[], token: AccessToken): readonly Share[] {
  return limits.map(({ tier, by }) => ({ tier, who: `${by}\0${whoOf(token, by)}` }))
}

/** Keys that were shown count for their tiers or that of their client, whatever the API limits, and at this API. */
export function ofKeys(counted: readonly CountedCredential[]): readonly Share[] {
  const shares = new Map<string, Share>()
  for (const { id, tier, sharedBy: who = ofChain(id) } of counted) {
    // Two keys of one client are one request of it.
    if (tier !== undefined) shares.set(`${tier}\0${who}`, { tier, who })
  }
  return [...shares.values()]
}

/** Who shares the tier of a key. @param id of the first key of its chain */
export const ofChain = (id: string): string => `tier of key\0${id}`

/**
 * Who shares the tier of a client, of those that show its keys. Publishable ones are shown by whoever reads a page: they use up
 * nothing of the others.
 */
export const ofClient = (id: string, kind: 'own' | 'publishable'): string => `tier of client\0${id}\0${kind}`

function whoOf(token: AccessToken, by: Limit['by']): string {
  const { sub, clientId } = token
  if (by === 'subject') return sub
  if (by === 'key') return keyChainOf(token) ?? clientId
  // Its `client_id` is the key, and a client that owns keys can make further ones.
  return ownerOf(token) === 'client' ? sub : clientId
}

function ownerOf({ claims: { api_key: described, key_owner } }: AccessToken): unknown {
  return isObject(described) ? described['owner'] : key_owner
}
