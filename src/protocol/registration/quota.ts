import type { Context, Origin } from '../../context.js'
import { countExactly } from '../../limits/index.js'
import { TooManyRequestsError } from '../../oauth/index.js'
import { networkOf, siteOf } from '../../platform/network.js'
import type { RegistrationToken } from '../../store/index.js'

/**
 * Counts a registration of nobody in particular (attack 93). Whoever holds an IPv6 /48 has 65,536 networks: that is counted too.
 *
 * @throws {TooManyRequestsError}
 */
export async function countRegistration(ctx: Context, { ip = '' }: Origin): Promise<void> {
  const { quota } = ctx.config.registration
  // First: what one network is refused is not counted against its neighbours.
  await count(ctx, `registration\0${networkOf(ip)}`, quota)
  const site = siteOf(ip)
  if (site !== undefined) await count(ctx, `registration site\0${site}`, quota * 10)
}

/** Counts a try with a token: it is spent by what succeeds alone, and each may have addresses asked. @throws {TooManyRequestsError} */
export function countTry(ctx: Context, { id, maxUses }: RegistrationToken): Promise<void> {
  return count(ctx, `registration token\0${id}`, maxUses + ctx.config.registration.quota)
}

/**
 * Counts a change of a registration: each may have addresses asked, and whoever registered many has as many to change.
 *
 * @throws {TooManyRequestsError}
 */
export async function countChange(ctx: Context, clientId: string, { ip = '' }: Origin): Promise<void> {
  const { quota } = ctx.config.registration
  await count(ctx, `registration change\0${clientId}`, quota)
  await count(ctx, `registration changes from\0${siteOf(ip) ?? networkOf(ip)}`, quota * 10)
}

async function count(ctx: Context, key: string, limit: number): Promise<void> {
  const excess = await countExactly(ctx, key, { name: 'registrations', limit, window: 3600, burst: limit })
  if (!excess) return
  throw new TooManyRequestsError('There were too many registrations. Try again later.', {
    reason: 'registration_quota',
    ...excess,
  })
}
