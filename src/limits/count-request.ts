import type { Context, Origin } from '../context.js'
import { TooManyRequestsError } from '../oauth/errors.js'
import { networkOf } from '../platform/network.js'
import { rateLimitFields } from './fields.js'

interface Subject {
  readonly clientId: string
  readonly tokenEndpointAuthMethod: string
}

/**
 * Counts a request of a client for its tier. One that can prove nothing is counted by the network that it comes from:
 * anybody can call himself by its name, and must not use up what others have.
 *
 * @returns header fields for the answer; undefined where nothing is limited
 * @throws {TooManyRequestsError}
 */
export async function countRequest(
  ctx: Pick<Context, 'rateLimits'>,
  { clientId, tokenEndpointAuthMethod }: Subject,
  tier: string,
  { ip = '' }: Origin,
): Promise<Readonly<Record<string, string>> | undefined> {
  const isProved = tokenEndpointAuthMethod !== 'none'
  const key = isProved ? `client\0${clientId}` : `client\0${clientId}\0${networkOf(ip)}`
  const taken = ctx.rateLimits.take(key, tier)
  const verdict = taken instanceof Promise ? await taken : taken
  if (!verdict) return undefined
  const headers = rateLimitFields(verdict)
  if (verdict.accepted) return headers
  throw new TooManyRequestsError('The client has sent more requests than its tier allows. Try again later.', {
    reason: 'rate_exceeded',
    retryAfter: verdict.retryAfter,
    headers,
  })
}
