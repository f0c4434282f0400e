import type { Context } from '../context.js'

/** Brings the successor of each signing key that is due: published first, signing later. */
export async function rotateKeys(ctx: Context): Promise<void> {
  const created = await ctx.keys.rotate('due', { actor: 'system' })
  if (created.length > 0) ctx.log.info({ kids: created }, 'signing keys were published that will sign')
}
