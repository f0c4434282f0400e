import { weekBucket } from './buckets.js'
import type { BatchedStatement, Database, Db } from './database.js'

/** What happened, to whom, by whom and why. Never a secret, token, code or address of mail. */
export interface AuditEvent {
  readonly id: string
  readonly time: Date
  /** noun.verb, such as `login.failed` */
  readonly type: string
  /** `user:…`, `client:…`, `operator` (the command line), `reporter:…` (of a leak, by its key) or `system` */
  readonly actor: string
  readonly clientId?: string | undefined
  readonly subject?: string | undefined
  readonly grantId?: string | undefined
  readonly ip?: string | undefined
  readonly requestId?: string | undefined
  readonly reason?: string | undefined
  readonly detail?: Readonly<Record<string, unknown>> | undefined
  /** One event may stand for many. Default 1. */
  readonly count?: number
}

/** The event's columns for a hot statement that writes it together with what it is about. */
export const insertColumns =
  'INSERT INTO audit_event (bucket, id, time, type, actor, client_id, subject, grant_id, ip, request_id, reason, detail, count)'

const insertAll: BatchedStatement<AuditEvent, undefined> = {
  name: 'audit_events.add',
  text: `${insertColumns}
    SELECT * FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[],
                         $9::text[], $10::text[], $11::text[], $12::jsonb[], $13::int[])`,
  parameters: (events) => columns(events),
  results: (events) => events.map(() => undefined),
}

/** Commits the event by itself, with all others of this turn. */
export async function add(database: Database, event: AuditEvent): Promise<void> {
  await database.run(insertAll, event)
}

/** Writes the event inside an open transaction: it stands or falls with what it is about. */
export async function create(db: Db, event: AuditEvent): Promise<void> {
  await db.prisma.auditEvent.create({
    data: {
      bucket: weekBucket(event.time),
      id: event.id,
      time: event.time,
      type: event.type,
      actor: event.actor,
      clientId: event.clientId,
      subject: event.subject,
      grantId: event.grantId,
      ip: event.ip,
      requestId: event.requestId,
      reason: event.reason,
      detail: event.detail as object | undefined,
      count: event.count ?? 1,
    },
    select: { id: true },
  })
}

export interface AuditFilter {
  readonly type?: string
  readonly clientId?: string
  readonly subject?: string
  readonly since?: Date
  readonly until?: Date
  /** At most this many, the newest. */
  readonly limit: number
}

/**
 * The newest events that match, oldest first. Read backwards in time until there are enough: an index by client and one by
 * subject would double what each event costs in the write-ahead log (440 bytes, 800 to 940 with both), and every hot path
 * writes one.
 */
export async function list(db: Db, filter: AuditFilter): Promise<readonly AuditEvent[]> {
  const rows = await db.prisma.auditEvent.findMany({
    where: {
      type: filter.type === undefined ? undefined : { startsWith: filter.type },
      clientId: filter.clientId,
      subject: filter.subject,
      time: { gte: filter.since, lte: filter.until },
      bucket: filter.since ? { gte: weekBucket(filter.since) } : undefined,
    },
    orderBy: [{ time: 'desc' }, { id: 'desc' }],
    take: filter.limit,
  })
  return rows.reverse().map(({ bucket: _, ...row }) => ({
    ...row,
    clientId: row.clientId ?? undefined,
    subject: row.subject ?? undefined,
    grantId: row.grantId ?? undefined,
    ip: row.ip ?? undefined,
    requestId: row.requestId ?? undefined,
    reason: row.reason ?? undefined,
    detail: (row.detail as Record<string, unknown> | null) ?? undefined,
  }))
}

function columns(events: readonly AuditEvent[]): unknown[] {
  return [
    events.map((event) => weekBucket(event.time)),
    events.map((event) => event.id),
    events.map((event) => event.time),
    events.map((event) => event.type),
    events.map((event) => event.actor),
    events.map((event) => event.clientId ?? null),
    events.map((event) => event.subject ?? null),
    events.map((event) => event.grantId ?? null),
    events.map((event) => event.ip ?? null),
    events.map((event) => event.requestId ?? null),
    events.map((event) => event.reason ?? null),
    events.map((event) => (event.detail ? JSON.stringify(event.detail) : null)),
    events.map((event) => event.count ?? 1),
  ]
}
