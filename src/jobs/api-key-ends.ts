import { writeEnds } from '../api-keys/index.js'
import type { Context } from '../context.js'

/** Ends the rows of keys that ended together, where whoever ended them did not come to it. */
export async function endKeyRows(ctx: Context): Promise<void> {
  await writeEnds(ctx)
}
