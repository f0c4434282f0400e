import { actOf, type By, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { ConflictError, InvalidValueError, NotFoundError } from '../platform/administration-errors.js'
import {
  auditEvents,
  type Db,
  isUniqueViolation,
  revocations,
  type Tier,
  type TierHolders,
  tiers,
} from '../store/index.js'
import { namedTiers } from './named-tiers.js'

export interface TierNumbers {
  /** Requests in a window. */
  readonly limit: number
  /** Seconds. */
  readonly window: number
  /** Requests that may come at once. */
  readonly burst: number
}

/** What a tier is, beside its numbers. */
export interface TierPolicy {
  /** Seconds after which keys and client secrets are to be rotated; `default`: the setting says it. */
  readonly rotateEvery?: number | 'never' | 'default' | undefined
}

const bounds = { limit: 10_000_000, window: 86_400, burst: 10_000_000 }

/** Requests a second. The store counts on whole nanoseconds and Redis in microseconds, so this many are told apart well. */
const fastest = 100_000

/** Seconds. A reminder a day before is the last one, so what is due more often is not reminded of. */
const rotation = { least: 86_400, most: 3_650 * 86_400 }

/**
 * @param numbers without a burst: all of the limit may come at once
 * @throws {InvalidValueError} {ConflictError} when there is one of that name
 */
export async function createTier(
  ctx: Context,
  name: string,
  { rotateEvery, ...numbers }: Omit<TierNumbers, 'burst'> & Partial<TierNumbers> & TierPolicy,
  by: By,
): Promise<Tier> {
  // It goes into header fields, between quotation marks.
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) {
    throw new InvalidValueError('A tier is named by 1 to 64 of a-z, 0-9, . _ and -, and begins with a letter or digit.')
  }
  const now = ctx.clock.now()
  const { limit, window, burst = limit } = numbers
  const policy = { rotateEvery: checkedRotation(rotateEvery, undefined) }
  const tier = { name, ...checked({ limit, window, burst }), ...policy, createdAt: now, updatedAt: now }
  try {
    await ctx.db.transaction(async (tx) => {
      await tiers.create(tx, tier)
      const detail = { tier: name, ...numbersOf(tier), rotate_every: tier.rotateEvery }
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
export async function updateTier(
  ctx: Context,
  name: string,
  { rotateEvery, ...change }: Partial<TierNumbers> & TierPolicy,
  by: By,
): Promise<Tier> {
  const tier = await ctx.db.transaction(async (tx) => {
    const before = await tiers.findForUpdate(tx, name)
    if (!before) throw isUnknown(name)
    const policy = { rotateEvery: checkedRotation(rotateEvery, before.rotateEvery) }
    const after = { ...before, ...checked({ ...numbersOf(before), ...change }), ...policy, updatedAt: ctx.clock.now() }
    await tiers.update(tx, after)
    const detail = { tier: name, ...numbersOf(after), rotate_every: after.rotateEvery }
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'tier.updated', detail }))
    return after
  })
  await ctx.rateLimits.tiers.refresh()
  return tier
}

/**
 * @throws {NotFoundError} {ConflictError} while clients or API keys have it, or a setting names it: they would be without a limit
 */
export async function deleteTier(ctx: Context, name: string, by: By): Promise<void> {
  const [named] = namedTiers(ctx.config).filter(({ tier }) => tier === name)
  if (named) throw new ConflictError(`${named.setting} names the tier ${name}: first name another one there, or none.`)
  const now = ctx.clock.now()
  await requireUnused(ctx.db, name, now)
  // Piece by piece, before anybody has to wait.
  await tiers.takeFromOver(ctx.db, name, now)
  await ctx.db.transaction(async (tx) => {
    // Whoever makes a key holds it, so that none is made with the tier meanwhile.
    await revocations.lock(tx)
    if (!(await tiers.findForUpdate(tx, name))) throw isUnknown(name)
    await requireUnused(tx, name, now)
    await tiers.takeFromOver(tx, name, now)
    await tiers.remove(tx, name)
    await auditEvents.create(tx, newEvent(ctx, { ...actOf(by), type: 'tier.deleted', detail: { tier: name } }))
  })
  await ctx.rateLimits.tiers.refresh()
}

/** @throws {ConflictError} */
async function requireUnused(db: Db, name: string, now: Date): Promise<void> {
  const { clients, apiKeys } = await tiers.countHolders(db, name, now)
  if (clients + apiKeys === 0) return
  const some = (count: number, noun: string) => (count === 0 ? [] : [`${count} ${noun}${count === 1 ? '' : 's'}`])
  const who = [...some(clients, 'client'), ...some(apiKeys, 'API key')].join(' and ')
  const advice = [
    ...(clients > 0 ? ['give clients another one, or none'] : []),
    ...(apiKeys > 0 ? ['end the keys, or make others in their place'] : []),
  ]
  throw new ConflictError(
    `${who} ${clients + apiKeys === 1 ? 'has' : 'have'} the tier ${name}: first ${advice.join(', and ')}.`,
  )
}

export function listTiers(ctx: Context): Promise<readonly Tier[]> {
  return tiers.list(ctx.db)
}

/** @throws {NotFoundError} */
export async function findTier(ctx: Context, name: string): Promise<TierHolders & { readonly tier: Tier }> {
  const tier = await tiers.find(ctx.db, name)
  if (!tier) throw isUnknown(name)
  return { tier, ...(await tiers.countHolders(ctx.db, name, ctx.clock.now())) }
}

/** What an administrator sees of a tier. */
export function describeTier(tier: Tier): Record<string, unknown> {
  const { name, limit, window, burst, rotateEvery, createdAt, updatedAt } = tier
  return {
    ...{ name, limit, window, burst },
    rotate_every: rotateEvery === 0 ? 'never' : rotateEvery,
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

/** As it is kept. @param before where nothing is said of it */
function checkedRotation(asked: TierPolicy['rotateEvery'], before: number | undefined): number | undefined {
  if (asked === undefined) return before
  if (asked === 'default') return undefined
  if (asked === 'never') return 0
  if (Number.isInteger(asked) && asked >= rotation.least && asked <= rotation.most) return asked
  throw new InvalidValueError('Credentials are rotated every day at most, and every ten years at least.')
}

function isUnknown(name: string): NotFoundError {
  return new NotFoundError('tier', `There is no tier ${name}.`)
}
