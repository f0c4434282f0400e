import type { Context, Origin } from '../context.js'
import { countRequest } from '../limits/index.js'
import type { UsableApiKey } from './check.js'

/**
 * Counts a use of a key for its own tier, with all keys of its chain, or else for that of the client that owns it, with whatever
 * the client itself sends.
 *
 * @returns header fields for the answer; undefined where nothing is limited
 * @throws {TooManyRequestsError}
 */
export async function countKeyRequest(
  ctx: Pick<Context, 'rateLimits'>,
  { limit }: UsableApiKey,
  origin: Origin,
): Promise<Readonly<Record<string, string>> | undefined> {
  if (!limit) return undefined
  return countRequest(ctx, { clientId: limit.id, tokenEndpointAuthMethod: 'api_key' }, limit.tier, origin)
}
