import type { Context } from '../context.js'
import { hmacSha256 } from '../platform/crypto/hash.js'
import { rateLimits } from '../store/index.js'
import { type Policy, waitOf } from './gcra.js'

/**
 * Counts one of what is rare and costs much, over all processes and exactly: in the database, each by itself and nothing
 * leased ahead. Of any number at once no more than the burst are accepted.
 *
 * @returns undefined where it is accepted; else seconds until the next one is
 */
export async function countExactly(
  ctx: Pick<Context, 'db' | 'clock' | 'secrets'>,
  key: string,
  policy: Omit<Policy, 'name'>,
): Promise<number | undefined> {
  const hash = hmacSha256(ctx.secrets.current.derive('rate limit'), `exactly\0${key}`)
  const { granted, debt } = await rateLimits.lease(ctx.db, { ...policy, key: hash, units: 1, now: ctx.clock.now() })
  return granted > 0 ? undefined : Math.max(1, Math.ceil(waitOf(policy, debt) / 1000))
}
