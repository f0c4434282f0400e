import type { Context } from '../context.js'
import { type ApiKey, type Rotatable, rotations } from '../store/index.js'

/** Days before something is due at which its owner is reminded. */
export const reminderDays = [14, 7, 1] as const

export const dayLength = 86_400_000

/** Seconds after which what has this tier is to be rotated; undefined: never. */
export function rotateEveryOf(ctx: Context, tier: string | undefined): number | undefined {
  const ofTier = tier === undefined ? undefined : ctx.rateLimits.tiers.find(tier)?.rotateEvery
  return (ofTier ?? ctx.config.apiKeys.rotateEvery) || undefined
}

/**
 * When a key is to be rotated by the policy of its tier, or ends by itself, whichever is first. `rotations.due` says the same in
 * SQL.
 *
 * @returns undefined for what is over, has a successor, or is due never
 */
export function rotationDueAt(ctx: Context, key: ApiKey): Date | undefined {
  const isOver = key.endedAt !== undefined || (key.expiresAt !== undefined && key.expiresAt <= ctx.clock.now())
  if (isOver || key.successor !== undefined) return undefined
  const every = rotateEveryOf(ctx, key.tier)
  const byPolicy = every === undefined ? undefined : new Date(key.createdAt.getTime() + every * 1000)
  if (!key.expiresAt || !byPolicy) return key.expiresAt ?? byPolicy
  return byPolicy < key.expiresAt ? byPolicy : key.expiresAt
}

/** Keys and client secrets whose time is near, and those that should have been rotated; what is due first comes first. */
export interface DueRotations {
  /** Within 14 days. */
  readonly due: readonly Rotatable[]
  readonly overdue: readonly Rotatable[]
}

export async function dueRotations(ctx: Context): Promise<DueRotations> {
  const now = ctx.clock.now()
  const found: Rotatable[] = []
  for await (const page of duePages(ctx, now)) found.push(...page)
  found.sort((a, b) => a.dueAt.getTime() - b.dueAt.getTime() || (a.id < b.id ? -1 : 1))
  return { due: found.filter(({ dueAt }) => dueAt > now), overdue: found.filter(({ dueAt }) => dueAt <= now) }
}

export function duePages(ctx: Context, now: Date): AsyncGenerator<readonly Rotatable[]> {
  const until = new Date(now.getTime() + reminderDays[0] * dayLength)
  return rotations.due(ctx.db, { now, until, rotateEvery: ctx.config.apiKeys.rotateEvery })
}
