import type { Context, Origin } from '../context.js'
import { TooManyRequestsError } from '../oauth/errors.js'
import { networkOf, normaliseAddress } from '../platform/network.js'
import { rateLimitFields } from './fields.js'
import { joinFields } from './join-fields.js'

interface Subject {
  readonly clientId: string
  readonly tokenEndpointAuthMethod: string
}

/** Header fields for the answer; undefined where nothing is limited. */
type Fields = Readonly<Record<string, string>> | undefined

/**
 * Counts a request of a client for its tier. One that can prove nothing is counted by the network that it comes from:
 * anybody can call himself by its name, and must not use up what others have.
 *
 * @throws {TooManyRequestsError}
 */
export async function countRequest(
  ctx: Pick<Context, 'rateLimits'>,
  { clientId, tokenEndpointAuthMethod }: Subject,
  tier: string,
  { ip = '' }: Origin,
): Promise<Fields> {
  const isProved = tokenEndpointAuthMethod !== 'none'
  const key = isProved ? `client\0${clientId}` : `client\0${clientId}\0${networkOf(ip)}`
  const refusal = { message: 'The client has sent more requests than its tier allows.', reason: 'rate_exceeded' }
  return count(ctx, key, tier, refusal)
}

/** Whether the settings give a tier to addresses or to networks. */
export function limitsOrigins({ config }: Pick<Context, 'config'>): boolean {
  const { rateTierAddress, rateTierNetwork } = config.limits
  return rateTierAddress !== undefined || rateTierNetwork !== undefined
}

/**
 * Counts a request by where it comes from, for the tiers that the settings give to addresses and networks: before anybody asks
 * who sends it, which is the work that this bounds.
 *
 * @returns undefined at once where the settings give none
 * @throws {TooManyRequestsError}
 */
export function countOrigin(
  ctx: Pick<Context, 'rateLimits' | 'config'>,
  { ip = '' }: Origin,
): Promise<Fields> | undefined {
  if (!limitsOrigins(ctx)) return undefined
  const { rateTierAddress: ofAddress, rateTierNetwork: ofNetwork } = ctx.config.limits
  return countPlaces(ctx, ip, ofAddress, ofNetwork)
}

async function countPlaces(
  ctx: Pick<Context, 'rateLimits'>,
  ip: string,
  ofAddress: string | undefined,
  ofNetwork: string | undefined,
): Promise<Fields> {
  const address = normaliseAddress(ip)
  // Who has one address of IPv6 has all of its /64, and would be somebody else with each (attack 101).
  const counted = address.includes(':') ? networkOf(address) : address
  const first = await countNamed(ctx, `address\0${counted}`, ofAddress, {
    message: 'More requests came from this address than are allowed.',
    reason: 'rate_of_address_exceeded',
  })
  const second = await countNamed(ctx, `network\0${networkOf(address)}`, ofNetwork, {
    message: 'More requests came from this network than are allowed.',
    reason: 'rate_of_network_exceeded',
  })
  return joinFields([first, second])
}

/**
 * Counts a token that a user is about to get, by whatever client, for the tier that the settings give to users. Whoever asks has
 * proved that it is theirs, and has spent nothing yet: so nobody else uses up what they have, and the request can be repeated.
 *
 * @returns undefined at once where the settings give none
 * @throws {TooManyRequestsError}
 */
export function countUser(ctx: Pick<Context, 'rateLimits' | 'config'>, userId: string): Promise<Fields> | undefined {
  const { rateTierUser } = ctx.config.limits
  if (rateTierUser === undefined) return undefined
  return countNamed(ctx, `user\0${userId}`, rateTierUser, {
    message: 'More tokens were asked for, for this user, than are allowed.',
    reason: 'rate_of_user_exceeded',
  })
}

interface Refusal {
  readonly message: string
  readonly reason: string
}

/** A tier that was deleted limits nothing, and is not asked for again by each request: its catalogue is read again by itself. */
async function countNamed(
  ctx: Pick<Context, 'rateLimits'>,
  key: string,
  tier: string | undefined,
  refusal: Refusal,
): Promise<Fields> {
  return tier === undefined || !ctx.rateLimits.tiers.find(tier) ? undefined : count(ctx, key, tier, refusal)
}

async function count(
  { rateLimits }: Pick<Context, 'rateLimits'>,
  key: string,
  tier: string,
  { message, reason }: Refusal,
): Promise<Fields> {
  const taken = rateLimits.take(key, tier)
  const verdict = taken instanceof Promise ? await taken : taken
  if (!verdict) return undefined
  const headers = rateLimitFields(verdict)
  if (verdict.accepted) return headers
  const { retryAfter } = verdict
  throw new TooManyRequestsError(`${message} Try again later.`, { reason, retryAfter, headers, exceeded: 'tier' })
}
