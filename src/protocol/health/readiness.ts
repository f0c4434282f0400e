import type { Context } from '../../context.js'
import { within } from '../../platform/deadline.js'
import { monotonicMilliseconds } from '../../platform/monotonic.js'
import { type PartitionHealth, partitions } from '../../store/index.js'

/** Milliseconds that a good answer is used again: probes of many balancers cost the database one question. */
const goodFor = 1_000
/** Milliseconds that the database may take: a probe that waits for one that is away would be no answer either. */
const patience = 2_000

/**
 * Whether the partitions are there, as the database said at most a second ago. Whoever asks while it is asked shares the
 * answer. A bad one is not kept: the next probe finds what has healed.
 *
 * @param milliseconds the clock that the age is taken by
 */
export function createReadiness(
  ctx: Context,
  milliseconds: () => number = monotonicMilliseconds,
): () => Promise<PartitionHealth> {
  let good: { readonly health: PartitionHealth; readonly until: number } | undefined
  let asking: { readonly since: number; readonly health: Promise<PartitionHealth> } | undefined

  async function ask(since: number): Promise<PartitionHealth> {
    try {
      const horizon = await partitions.horizonOf(ctx.db, ctx.config)
      const health = await partitions.checkPartitions(ctx.db.pool, horizon, ctx.clock.now())
      good = isHealthy(health) ? { health, until: since + goodFor } : undefined
      return health
    } finally {
      asking = undefined
    }
  }

  return async () => {
    const now = milliseconds()
    if (good && now < good.until) return good.health
    asking ??= { since: now, health: ask(now) }
    return within(Math.max(1, asking.since + patience - now), asking.health)
  }
}

export function isHealthy({ missing, overflowing }: PartitionHealth): boolean {
  return missing.length === 0 && overflowing.length === 0
}
