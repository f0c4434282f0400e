import { type AuditEvent, insertColumns } from './audit-events.js'
import { dayBucket, permanentBucket, weekBucket } from './buckets.js'
import { notificationChannel } from './changes.js'
import type { BatchedStatement, Database, Db, Row } from './database.js'

export type RevocationKind = 'token' | 'grant' | 'session' | 'client' | 'user' | 'role'

/** An entry of the revocation list. */
export interface Revocation {
  readonly kind: RevocationKind
  /** A jti, grant_id, sid, client_id or sub; for a role the holder and the resource, separated by a space. */
  readonly target: string
  /** The target never comes back (until enabled again). Else tokens issued up to `instant` are ended. */
  readonly terminal: boolean
  readonly instant: Date
}

export interface NewRevocation extends Revocation {
  /** After this no token that it could end is alive. Undefined: until it is lifted. */
  readonly expiresAt?: Date | undefined
  /** Identifiers of the resources concerned; empty: all. */
  readonly audiences: readonly string[]
  readonly reason: string
  /** Where the row of the grant or session lies that gets the end mark. */
  readonly row?: { readonly bucket: number; readonly id: string }
  readonly event: AuditEvent
}

/** Everybody who revokes takes this first and holds it to the commit, so that two of them cannot deadlock. */
export const takeTurn = 'SELECT pg_advisory_xact_lock(7236402) AS lock'

/**
 * The end mark, the entry of the list and the audit event in one statement. The advisory lock is held to the commit, so
 * that positions are in commit order (`revocation.md`); everything waits for it, so two of them cannot deadlock.
 *
 * By whose clock the tokens were issued that it ends is not known. Where the audit holds a time that is ahead of ours, the
 * clock was set back, or another process's is wrong: then the entry is of that time, so that it ends what was issued by it
 * and lives as long (attack 133). A second or two more, for what waits in another process's memory to be written. Only a
 * day ahead: a clock that was once wrong by a year must not hold back for a year whose tokens are revoked.
 */
const record: BatchedStatement<NewRevocation, undefined> = {
  name: 'revocations.record',
  text: `
    WITH given AS (
      SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bool[], $5::timestamptz[], $6::timestamptz[], $7::text[],
                           $8::text[], $9::int[], $10::uuid[],
                           $11::int[], $12::uuid[], $13::timestamptz[], $14::text[], $15::text[], $16::text[], $17::text[],
                           $18::uuid[], $19::text[], $20::text[], $21::jsonb[])
        AS i (bucket, kind, target, terminal, instant, expires_at, audiences, reason, row_bucket, row_id,
              event_bucket, event_id, event_time, event_type, event_actor, event_client_id, event_subject, event_grant_id,
              event_ip, event_request_id, event_detail)
    ), ahead AS MATERIALIZED (
      SELECT max(time) + interval '2 seconds' AS time FROM audit_event
       WHERE bucket BETWEEN $22 AND $22 + 1 AND time > $23::timestamptz + interval '2 seconds'
         AND time < $23::timestamptz + interval '25 hours'
    ), input AS MATERIALIZED (
      SELECT CASE WHEN a.time > g.instant AND g.expires_at IS NOT NULL
                  THEN floor(extract(epoch FROM g.expires_at + (a.time - g.instant)) / 86400)::int
                  ELSE g.bucket END AS bucket,
             g.kind, g.target, g.terminal, GREATEST(g.instant, a.time) AS instant,
             g.expires_at + (GREATEST(g.instant, a.time) - g.instant) AS expires_at, g.audiences, g.reason, g.row_bucket,
             g.row_id, g.event_bucket, g.event_id, g.event_time, g.event_type, g.event_actor, g.event_client_id,
             g.event_subject, g.event_grant_id, g.event_ip, g.event_request_id, g.event_detail
        FROM given g, ahead a
    ), held AS MATERIALIZED (
      ${takeTurn}
    ), ended_grant AS (
      UPDATE authorization_grant t SET ended_at = i.instant, end_reason = i.reason
        FROM input i, held
       WHERE i.kind = 'grant' AND t.bucket = i.row_bucket AND t.id = i.row_id AND t.ended_at IS NULL
      RETURNING t.id
    ), ended_session AS (
      UPDATE session t SET ended_at = i.instant, end_reason = i.reason
        FROM input i, held
       WHERE i.kind = 'session' AND t.bucket = i.row_bucket AND t.id = i.row_id AND t.ended_at IS NULL
      RETURNING t.id
    ), ended_user AS (
      UPDATE user_account t
         SET not_before = GREATEST(t.not_before, i.instant),
             disabled_at = CASE WHEN i.terminal THEN COALESCE(t.disabled_at, i.instant) ELSE t.disabled_at END
        FROM input i, held
       WHERE i.kind = 'user' AND t.id = i.row_id
    ), ended_client AS (
      UPDATE client t
         SET not_before = GREATEST(t.not_before, i.instant),
             disabled_at = CASE WHEN i.terminal THEN COALESCE(t.disabled_at, i.instant) ELSE t.disabled_at END
        FROM input i, held
       WHERE i.kind = 'client' AND t.client_id = i.target
    ), listed AS (
      INSERT INTO revocation (bucket, kind, target, position, terminal, instant, audiences, reason, expires_at)
      SELECT i.bucket, i.kind, i.target, nextval('revocation_position'), i.terminal, i.instant,
             string_to_array(i.audiences, ' '), i.reason, i.expires_at
        FROM (SELECT DISTINCT ON (bucket, kind, target) * FROM input
               ORDER BY bucket, kind, target, terminal DESC, instant DESC) i, held
          ON CONFLICT (bucket, kind, target) DO UPDATE
             SET position = excluded.position, terminal = revocation.terminal OR excluded.terminal,
                 instant = GREATEST(revocation.instant, excluded.instant), audiences = excluded.audiences,
                 reason = excluded.reason, expires_at = GREATEST(revocation.expires_at, excluded.expires_at)
    ), audited AS (
      ${insertColumns}
      SELECT event_bucket, event_id, event_time, event_type, event_actor, event_client_id, event_subject, event_grant_id,
             event_ip, event_request_id, reason, event_detail, 1
        FROM (SELECT DISTINCT ON (kind, target, event_type, event_actor) * FROM input
               ORDER BY kind, target, event_type, event_actor, event_time) i, held
          -- Of many that end the same grant or session only the one that did is an event.
       WHERE i.kind NOT IN ('grant', 'session')
          OR i.row_id IN (SELECT id FROM ended_grant UNION ALL SELECT id FROM ended_session)
    )
    SELECT pg_notify('${notificationChannel}', 'revocation')::text`,
  parameters: (items) => [
    items.map(({ expiresAt }) => (expiresAt ? dayBucket(expiresAt) : permanentBucket)),
    items.map(({ kind }) => kind),
    items.map(({ target }) => target),
    items.map(({ terminal }) => terminal),
    items.map(({ instant }) => instant.toISOString()),
    items.map(({ expiresAt }) => expiresAt?.toISOString() ?? null),
    items.map(({ audiences }) => audiences.join(' ')),
    items.map(({ reason }) => reason),
    items.map(({ row }) => row?.bucket ?? null),
    items.map(({ row }) => row?.id ?? null),
    items.map(({ event }) => weekBucket(event.time)),
    items.map(({ event }) => event.id),
    items.map(({ event }) => event.time.toISOString()),
    items.map(({ event }) => event.type),
    items.map(({ event }) => event.actor),
    items.map(({ event }) => event.clientId ?? null),
    items.map(({ event }) => event.subject ?? null),
    items.map(({ event }) => event.grantId ?? null),
    items.map(({ event }) => event.ip ?? null),
    items.map(({ event }) => event.requestId ?? null),
    items.map(({ event }) => (event.detail ? JSON.stringify(event.detail) : null)),
    weekBucket(earliest(items)),
    earliest(items).toISOString(),
  ],
  results: (items) => items.map(() => undefined),
}

function earliest(items: readonly NewRevocation[]): Date {
  return new Date(Math.min(...items.map(({ instant }) => instant.getTime())))
}

/** Revokes and records. Resolves when committed, together with all other revocations of this turn. */
export async function add(database: Database, revocation: NewRevocation): Promise<void> {
  await database.run(record, revocation)
}

/** Before rows are held in a transaction that revokes: everybody takes this first, so that two cannot deadlock. */
export async function lock(db: Db): Promise<void> {
  await db.prisma.$executeRawUnsafe(takeTurn)
}

/** The same inside an open transaction, for a revocation that follows from another change. */
export async function create(db: Db, revocation: NewRevocation): Promise<void> {
  await createAll(db, [revocation])
}

/** Many of them inside an open transaction: when a role is deleted, one for each holder. */
export async function createAll(db: Db, all: readonly NewRevocation[]): Promise<void> {
  for (let start = 0; start < all.length; start += 1000) {
    await db.prisma.$queryRawUnsafe(record.text, ...record.parameters(all.slice(start, start + 1000)))
  }
}

/**
 * Ends the terminal entries of a client or user that is enabled again, or of a deleted client whose name is registered
 * anew; what was issued up to `now` stays ended, and up to the instant that it had where that is ahead.
 */
export async function lift(db: Db, kind: 'client' | 'user', target: string, now: Date): Promise<void> {
  await lock(db)
  await db.prisma.$executeRaw`
    UPDATE revocation SET terminal = false, position = nextval('revocation_position'),
           instant = CASE WHEN instant > ${now}::timestamptz + interval '2 seconds' THEN instant ELSE ${now} END
     WHERE bucket >= ${dayBucket(now)} AND kind = ${kind} AND target = ${target}`
  await db.prisma.$executeRaw`SELECT pg_notify(${notificationChannel}, 'revocation')`
}

/**
 * Deletes what was lifted so long ago that it ends no token that could be alive: an access token lives an hour. What has no
 * end lies in no partition that is dropped, so whoever is disabled and enabled again would leave a row for ever.
 *
 * @returns how many
 */
export async function deleteLifted(db: Db, now: Date): Promise<number> {
  const dayAgo = new Date(now.getTime() - 86_400_000)
  return db.prisma.$executeRaw`
    DELETE FROM revocation WHERE bucket = ${permanentBucket} AND NOT terminal AND instant < ${dayAgo}`
}

/** What a token can be ended by. */
export interface EndableBy {
  readonly kind: RevocationKind
  readonly target: string
}

export interface PositionedRevocation extends Revocation {
  readonly position: bigint
  readonly expiresAt?: Date | undefined
}

/** What was listed behind the position and could still end a token, in commit order, the first `limit` of it. */
export async function listBehind(
  database: Database,
  position: bigint,
  now: Date,
  limit: number,
): Promise<readonly PositionedRevocation[]> {
  const rows = await database.query(
    'revocations.list_behind',
    `SELECT kind, target, terminal, instant, position, expires_at FROM revocation
      WHERE position > $1 AND (expires_at IS NULL OR expires_at > $2::timestamptz) ORDER BY position LIMIT $3`,
    [position.toString(), now.toISOString(), limit],
  )
  return rows.map((row) => ({
    ...toRevocation(row),
    position: BigInt(row['position']),
    expiresAt: row['expires_at'] ?? undefined,
  }))
}

function toRevocation(row: Row): Revocation {
  return { kind: row['kind'], target: row['target'], terminal: row['terminal'], instant: row['instant'] }
}
