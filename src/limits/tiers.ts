import { actOf, type By, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { ConflictError, InvalidValueError, NotFoundError } from '../platform/administration-errors.js'
import { auditEvents, isUniqueViolation, type Tier, tiers } from '../store/index.js'

export interface TierNumbers {
  /** Requests in a window. */
  readonly limit: number
  /** Seconds. */
  readonly window: number
  /** Requests that may come at once. */
  readonly burst: number
}

const bounds = { limit: 10_000_000, window: 86_400, burst: 10_000_000 }

/** Requests a second. The store counts on whole nanoseconds and Redis in microseconds, so this many are told apart well. */
const fastest = 100_000

/**
 * @param numbers without a burst: all of the limit may come at once
 * @throws {InvalidValueError} {ConflictError} when there is one of that name
 */
export async function createTier(
  ctx: Context,
  name: string,
  numbers: Omit<TierNumbers, 'burst'> & Partial<TierNumbers>,
  by: By,
): Promise<Tier> {
  // It goes into header fields, between quotation marks.
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) {
    throw new InvalidValueError('A tier is named by 1 to 64 of a-z, 0-9, . _ and -, and begins with a letter or digit.')
  }
  const now = ctx.clock.now()
  const { limit, window, burst = limit } = numbers
  const tier = { name, ...checked({ limit, window, burst }), createdAt: now, updatedAt: now }
  try {
    await ctx.db.transaction(async (tx) => {
      await tiers.create(tx, tier)
      const detail = { tier: name, ...numbersOf(tier) }
      await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'tier.created', detail }))
    })
  } catch (error) {
    if (isUniqueViolation(error)) throw new ConflictError(`There is a tier ${name} already.`)
    throw error
  }
  await ctx.rateLimits.tiers.refresh()
  return tier
}

/**
 * Changes what is given. It holds at every process within seconds; what was used up stays used up, by its time.
 *
 * @throws {NotFoundError} {InvalidValueError}
 */
export async function updateTier(ctx: Context, name: string, change: Partial<TierNumbers>, by: By): Promise<Tier> {
  const tier = await ctx.db.transaction(async (tx) => {
    const before = await tiers.findForUpdate(tx, name)
    if (!before) throw isUnknown(name)
    const after = { ...before, ...checked({ ...numbersOf(before), ...change }), updatedAt: ctx.clock.now() }
    await tiers.update(tx, after)
    const detail = { tier: name, ...numbersOf(after) }
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'tier.updated', detail }))
    return after
  })
  await ctx.rateLimits.tiers.refresh()
  return tier
}

/** @throws {NotFoundError} {ConflictError} while clients have it: they would be without a limit */
export async function deleteTier(ctx: Context, name: string, by: By): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    if (!(await tiers.findForUpdate(tx, name))) throw isUnknown(name)
    const clients = await tiers.countClients(tx, name)
    if (clients > 0) {
      const who = clients === 1 ? '1 client has' : `${clients} clients have`
      throw new ConflictError(`${who} the tier ${name}: give them another one first, or none.`)
    }
    await tiers.remove(tx, name)
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'tier.deleted', detail: { tier: name } }))
  })
  await ctx.rateLimits.tiers.refresh()
}

export function listTiers(ctx: Context): Promise<readonly Tier[]> {
  return tiers.list(ctx.db)
}

/** @throws {NotFoundError} */
export async function findTier(ctx: Context, name: string): Promise<{ readonly tier: Tier; readonly clients: number }> {
  const tier = await tiers.find(ctx.db, name)
  if (!tier) throw isUnknown(name)
  return { tier, clients: await tiers.countClients(ctx.db, name) }
}

/** What an administrator sees of a tier. */
export function describeTier({ name, limit, window, burst, createdAt, updatedAt }: Tier): Record<string, unknown> {
  return {
    ...{ name, limit, window, burst },
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
  }
}

function numbersOf({ limit, window, burst }: TierNumbers): TierNumbers {
  return { limit, window, burst }
}

function checked(numbers: TierNumbers): TierNumbers {
  for (const name of ['limit', 'window', 'burst'] as const) {
    const value = numbers[name]
    if (Number.isInteger(value) && value >= 1 && value <= bounds[name]) continue
    throw new InvalidValueError(`The ${name} is not a whole number from 1 to ${bounds[name]}.`)
  }
  if (numbers.limit > fastest * numbers.window) {
    throw new InvalidValueError(
      `More than ${fastest} requests a second cannot be told apart: it is as good as no limit.`,
    )
  }
  return numbers
}

function isUnknown(name: string): NotFoundError {
  return new NotFoundError('tier', `There is no tier ${name}.`)
}
