import type { ApiKeyOwner } from './api-keys.js'
import { type AuditEvent, insertColumns as insertEvent } from './audit-events.js'
import { weekBucket } from './buckets.js'
import { notificationChannel } from './changes.js'
import type { Db, Row } from './database.js'
import { insertColumns as insertMessage, messageNotice } from './outbox.js'
import type { Rotatable } from './rotations.js'
import { seconds, toTime } from './rows.js'

export type NoticeKind = 'rotation_due' | 'rotation_overdue' | 'exposed' | 'leaked' | 'ended'

/** What an owner is told about a credential of theirs. */
export interface Notice {
  readonly id: string
  readonly owner: ApiKeyOwner
  readonly kind: NoticeKind
  readonly subject: Pick<Rotatable, 'kind' | 'id'>
  readonly detail: NoticeDetail
  readonly createdAt: Date
}

/** What the text says. Never a secret. */
export interface NoticeDetail {
  /** Of the key, or of the client. */
  readonly name: string
  /** ISO 8601: when it is to be rotated, or ends by itself. */
  readonly due_at?: string | undefined
  /** Of a reminder. */
  readonly days?: number | undefined
  /** It ends by itself then. */
  readonly ends?: boolean | undefined
  /** It stands in pages, so that anybody can read it. */
  readonly publishable?: boolean | undefined
  /** Requests are signed by it: its successor needs another key pair. */
  readonly signing?: boolean | undefined
  /** It has a successor, and gets no other: whoever uses it has to move. */
  readonly rotated?: boolean | undefined
  /** Where it was found: an address, or in words. */
  readonly found_at?: string | undefined
}

export interface NewNotice extends Notice {
  /** Of one credential each is told once, as long as it is kept. */
  readonly cause: string
  readonly event: AuditEvent
}

/** Where notices are sent: one lane for all, since there is one server of mail. */
export const destination = 'mail'

/**
 * The notices, their audit events and the messages that bring them, in one statement. Where they are sent says the process that
 * delivers (`settings`), so whoever writes one needs no setting. What was told before is not told again: of many callers one
 * writes it. In one order for all of them, so that no two wait for each other.
 */
const create = `
  WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[],
                         $9::timestamptz[], $10::int[], $11::uuid[], $12::text[], $13::text[], $14::text[], $15::text[],
                         $16::text[], $17::text[], $18::text[], $19::jsonb[])
      AS i (id, owner_kind, owner, kind, subject_kind, subject, cause, detail, created_at, event_bucket, event_id, event_type,
            event_actor, event_client_id, event_subject, event_ip, event_request_id, event_reason, event_detail)
  ), made AS (
    INSERT INTO notice (id, owner_kind, owner, kind, subject_kind, subject, cause, detail, created_at)
    SELECT id, owner_kind, owner, kind, subject_kind, subject, cause, detail, created_at FROM given ORDER BY subject, cause
        ON CONFLICT (subject, cause) DO NOTHING
    RETURNING id
  ), sent AS (
    ${insertMessage}
    SELECT g.id, 'notice', d.destination, jsonb_build_object('notice', g.id), g.created_at, g.created_at, 0
      FROM made JOIN given g ON g.id = made.id
     CROSS JOIN (SELECT jsonb_array_elements_text(value) AS destination FROM setting WHERE name = 'notice_destinations') d
    RETURNING id
  ), audited AS (
    ${insertEvent}
    SELECT g.event_bucket, g.event_id, g.created_at, g.event_type, g.event_actor, g.event_client_id, g.event_subject, NULL,
           g.event_ip, g.event_request_id, g.event_reason, g.event_detail, 1
      FROM made JOIN given g ON g.id = made.id
  )
  SELECT made.id::text AS id, (SELECT pg_notify('${notificationChannel}', '${messageNotice}')::text FROM sent LIMIT 1) AS sent
    FROM made`

/** Inside a transaction, or by itself. @returns the ids of those that were not told before */
export async function createAll(db: Db, notices: readonly NewNotice[]): Promise<ReadonlySet<string>> {
  if (notices.length === 0) return new Set()
  const rows = await db.query('notices.create', create, [
    notices.map(({ id }) => id),
    notices.map(({ owner }) => owner.kind),
    notices.map(({ owner }) => owner.id),
    notices.map(({ kind }) => kind),
    notices.map(({ subject }) => subject.kind),
    notices.map(({ subject }) => subject.id),
    notices.map(({ cause }) => cause),
    notices.map(({ detail }) => JSON.stringify(detail)),
    notices.map(({ createdAt }) => createdAt.toISOString()),
    notices.map(({ createdAt }) => weekBucket(createdAt)),
    notices.map(({ event }) => event.id),
    notices.map(({ event }) => event.type),
    notices.map(({ event }) => event.actor),
    notices.map(({ event }) => event.clientId ?? null),
    notices.map(({ event }) => event.subject ?? null),
    notices.map(({ event }) => event.ip ?? null),
    notices.map(({ event }) => event.requestId ?? null),
    notices.map(({ event }) => event.reason ?? null),
    notices.map(({ event }) => JSON.stringify(event.detail ?? null)),
  ])
  return new Set(rows.map((row) => row['id']))
}

const columns = (notice: string) =>
  `${notice}.id, ${notice}.owner_kind, ${notice}.owner, ${notice}.kind, ${notice}.subject_kind, ${notice}.subject, ${notice}.detail,
   ${seconds(`${notice}.created_at`)} AS created_at`

/** Newest first. @param owner undefined: everybody's */
export async function list(
  db: Db,
  { owner, limit }: { readonly owner?: ApiKeyOwner | undefined; readonly limit: number },
): Promise<readonly Notice[]> {
  const rows = owner
    ? await db.query(
        'notices.list_of_owner',
        `SELECT ${columns('n')} FROM notice n WHERE owner_kind = $2 AND owner = $3 ORDER BY n.created_at DESC LIMIT $1`,
        [limit, owner.kind, owner.id],
      )
    : await db.query('notices.list', `SELECT ${columns('n')} FROM notice n ORDER BY n.created_at DESC LIMIT $1`, [
        limit,
      ])
  return rows.map(toNotice)
}

/** With whom it is for: the address of a user, or what a client has registered as `contacts`; nobody where they are disabled. */
export async function findForDelivery(
  db: Db,
  id: string,
): Promise<{ readonly notice: Notice; readonly addresses: readonly string[] } | undefined> {
  const [row] = await db.query(
    'notices.find_for_delivery',
    `SELECT ${columns('n')},
            CASE WHEN n.owner_kind = 'user'
                 THEN ARRAY(SELECT u.email FROM user_account u WHERE u.id = n.owner::uuid AND u.disabled_at IS NULL)
                 ELSE (SELECT c.contacts FROM client c WHERE c.client_id = n.owner AND c.disabled_at IS NULL) END AS addresses
       FROM notice n WHERE n.id = $1::uuid`,
    [id],
  )
  return row && { notice: toNotice(row), addresses: row['addresses'] ?? [] }
}

/** Deletes what is older. @returns how many, `limit` at most */
export async function removeOld(db: Db, before: Date, limit: number): Promise<number> {
  const rows = await db.query(
    'notices.remove_old',
    `DELETE FROM notice WHERE id IN (
       SELECT id FROM notice WHERE created_at < $1::timestamptz ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
     RETURNING id`,
    [before.toISOString(), limit],
  )
  return rows.length
}

function toNotice(row: Row): Notice {
  return {
    id: row['id'],
    owner: { kind: row['owner_kind'], id: row['owner'] },
    kind: row['kind'],
    subject: { kind: row['subject_kind'], id: row['subject'] },
    detail: row['detail'],
    createdAt: toTime(row['created_at']),
  }
}
