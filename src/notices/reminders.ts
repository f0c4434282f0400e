import type { Context } from '../context.js'
import { type NewNotice, notices, type Rotatable } from '../store/index.js'
import { newNotice } from './notices.js'
import { dayLength, duePages, reminderDays } from './rotation-policy.js'

/**
 * Reminds owners 14, 7 and 1 days before something is due, and once when it is overdue. Of the days that passed while nobody
 * reminded, only the last counts. Several workers do no harm: each reminder is written once.
 */
export async function remindOwners(ctx: Context): Promise<void> {
  const now = ctx.clock.now()
  for await (const page of duePages(ctx, now)) {
    const reminders = page.flatMap((due) => reminderOf(ctx, due, now) ?? [])
    await notices.createAll(ctx.db, reminders)
  }
}

function reminderOf(ctx: Context, due: Rotatable, now: Date): NewNotice | undefined {
  const { kind, id, owner, name, createdAt, dueAt, ends, signing } = due
  const common = { owner, subject: { kind, id }, by: { actor: 'system' } }
  const detail = { name, due_at: dueAt.toISOString(), signing }
  if (dueAt <= now) return newNotice(ctx, { ...common, kind: 'rotation_overdue', detail })
  const days = reminderDays.findLast((each) => dueAt.getTime() - now.getTime() <= each * dayLength)
  // Who makes a key for some days knows when it ends.
  if (days === undefined || dueAt.getTime() - createdAt.getTime() <= days * dayLength) return undefined
  return newNotice(ctx, { ...common, kind: 'rotation_due', detail: { ...detail, days, ends: ends || undefined } })
}
