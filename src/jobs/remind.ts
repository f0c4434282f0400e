import type { Context } from '../context.js'
import { forgetOldNotices, remindOwners } from '../notices/index.js'

/** Reminds owners of what is to be rotated, and deletes what they were told long ago. */
export async function remind(ctx: Context): Promise<void> {
  await remindOwners(ctx)
  await forgetOldNotices(ctx)
}
