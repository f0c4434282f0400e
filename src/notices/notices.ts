import { actOf, type By, newEvent } from '../audit/index.js'
import type { Context } from '../context.js'
import { type ApiKeyOwner, type Db, type NewNotice, type Notice, type NoticeDetail, notices } from '../store/index.js'
import { noticeText } from './text.js'

/** Days that a notice is kept. What is still so afterwards is told once more. */
const keptDays = 90

/** Notices that one statement deletes. */
const mostDeleted = 10_000

export interface NoticeRequest extends Pick<Notice, 'kind' | 'owner' | 'subject'> {
  readonly detail: NoticeDetail
  readonly by: By
  /** Of the audit event that says it. Default: `notice.created`, with the kind as its reason. */
  readonly event?: {
    readonly type: string
    readonly reason: string
    readonly detail?: Readonly<Record<string, unknown>>
  }
}

/** A notice of now. It is written by whoever writes what it is about (`notices.createAll`). */
export function newNotice(ctx: Context, { kind, owner, subject, detail, by, event }: NoticeRequest): NewNotice {
  const { type = 'notice.created', reason = kind } = event ?? {}
  const about = owner.kind === 'client' ? { clientId: owner.id } : { subject: owner.id }
  const named = {
    [subject.kind === 'api_key' ? 'key' : 'client_secret']: subject.id,
    days: detail.days,
    ...event?.detail,
  }
  const audited = newEvent(ctx, { ...actOf(by), ...about, type, reason, detail: named })
  // What is due another time, after a change, is another reminder.
  const cause = [kind, detail.due_at, detail.days].filter((part) => part !== undefined).join(' ')
  return { id: ctx.random.uuid(), owner, kind, subject, detail, cause, createdAt: audited.time, event: audited }
}

/**
 * Tells the owner, where they were not told the same of the same credential before; by mail too, where there is a server of it.
 *
 * @param db of the transaction that makes the change, if it belongs into one
 * @returns whether they are told now
 */
export async function notifyOwner(ctx: Context, request: NoticeRequest, db: Db = ctx.db): Promise<boolean> {
  const notice = newNotice(ctx, request)
  return (await notices.createAll(db, [notice])).has(notice.id)
}

/** Newest first. @param owner undefined: everybody's, for administrators @param limit default 100 */
export function listNotices(ctx: Context, owner?: ApiKeyOwner, limit = 100): Promise<readonly Notice[]> {
  return notices.list(ctx.db, { owner, limit })
}

export function describeNotice(notice: Notice, issuer: string): Record<string, unknown> {
  const { id, owner, kind, subject, detail, createdAt } = notice
  return {
    id,
    kind,
    owner: { kind: owner.kind, id: owner.id },
    subject: { kind: subject.kind, id: subject.id },
    ...detail,
    text: noticeText(notice, issuer).subject,
    created_at: createdAt.toISOString(),
  }
}

export async function forgetOldNotices(ctx: Context): Promise<void> {
  const before = new Date(ctx.clock.now().getTime() - keptDays * 86_400_000)
  while ((await notices.removeOld(ctx.db, before, mostDeleted)) === mostDeleted);
}
