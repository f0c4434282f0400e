import type { Context } from '../context.js'
import { rateLimits } from '../store/index.js'

/** Deletes what nobody has used for an hour: it is as if it had never been there. */
export async function sweepRateLimits(ctx: Context): Promise<void> {
  await rateLimits.sweep(ctx.db, ctx.clock.now())
}
