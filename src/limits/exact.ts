import type { Context } from '../context.js'
import { hmacSha256 } from '../platform/crypto/hash.js'
import { rateLimits } from '../store/index.js'
import { rateLimitFields } from './fields.js'
import { type Policy, waitOf } from './gcra.js'

/** What whoever is refused is told: for the options of an error. */
export interface Excess {
  /** Seconds until the next one is accepted. */
  readonly retryAfter: number
  /** What the limit is. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Counts one of what is rare and costs much, over all processes and exactly: in the database, each by itself and nothing
 * leased ahead. Of any number at once no more than the burst are accepted.
 *
 * @returns undefined where it is accepted
 */
export async function countExactly(
  ctx: Pick<Context, 'db' | 'clock' | 'secrets'>,
  key: string,
  policy: Policy,
): Promise<Excess | undefined> {
  const hash = hmacSha256(ctx.secrets.current.derive('rate limit'), `exactly\0${key}`)
  const { limit, window, burst } = policy
  const { granted, debt } = await rateLimits.lease(ctx.db, {
    ...{ limit, window, burst },
    key: hash,
    units: 1,
    now: ctx.clock.now(),
  })
  return granted > 0 ? undefined : excessOf(policy, debt)
}

/** @param debt milliseconds that the theoretical arrival time lies ahead */
export function excessOf(policy: Policy, debt: number): Excess {
  const retryAfter = Math.max(1, Math.ceil(waitOf(policy, debt) / 1000))
  const reset = Math.max(retryAfter, Math.ceil(debt / 1000))
  return { retryAfter, headers: rateLimitFields({ policy, accepted: false, remaining: 0, reset, retryAfter }) }
}
