import type { Context } from '../context.js'
import { type Horizon, partitions } from '../store/index.js'

/** How long rows may live, by the settings and by what clients were given beyond them. */
export function currentHorizon(ctx: Context): Promise<Horizon> {
  return partitions.horizonOf(ctx.db, ctx.config)
}

/**
 * Creates the partitions that will be needed and drops those of which everything has expired. Safe to run from several
 * processes; runs at start and then by the worker.
 */
export async function maintainPartitions(ctx: Context): Promise<void> {
  const horizon = await currentHorizon(ctx)
  const now = ctx.clock.now()
  const created = await partitions.ensurePartitions(ctx.db.pool, horizon, now)
  const dropped = await partitions.dropExpiredPartitions(ctx.db.pool, horizon, now)
  if (created.length > 0 || dropped.length > 0) {
    ctx.log.info({ created: created.length, dropped: dropped.length }, 'partitions maintained')
  }
}
