import type { Context } from '../context.js'
import { revocations } from '../store/index.js'

/** Deletes the revocations of those who were enabled again, once nothing can be alive that they would end. */
export async function deleteLifted(ctx: Context): Promise<void> {
  await revocations.deleteLifted(ctx.db, ctx.clock.now())
}
