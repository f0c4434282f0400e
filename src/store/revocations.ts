import type { KeyEnding } from './api-key-ends.js'
import { type AuditEvent, insertColumns } from './audit-events.js'
import { dayBucket, permanentBucket, weekBucket } from './buckets.js'
import { notificationChannel } from './changes.js'
import { type BatchedStatement, type Database, type Db, transactionOn } from './database.js'
import { mayHaveTokens } from './key-tokens.js'
import { tellClients } from './logouts.js'
import { insertColumns as insertMessages, messageId, messageNotice } from './outbox.js'

export type RevocationKind =
  | 'token'
  | 'grant'
  | 'session'
  | 'client'
  | 'user'
  | 'role'
  | 'key'
  | 'api_key'
  | 'api_keys'
  | 'api_key_state'
  | 'client_secret'

/** An entry of the revocation list. */
export interface Revocation {
  readonly kind: RevocationKind
  /**
   * A jti, grant_id, sid, client_id, sub, kid or the id of an API key; for a role the holder and the resource, separated by a
   * space; for `api_keys` which ones: `all`, `prefix:…`, `owner:user:…` or `owner:client:…`. `api_key_state` ends nothing: who
   * remembers what the key is worth asks again. Nor does `client_secret`, of a client_id: who remembers what its password is worth does.
   */
  readonly target: string
  /** The target never comes back (until enabled again). Else tokens issued up to `instant` are ended. */
  readonly terminal: boolean
  readonly instant: Date
}

export interface NewRevocation extends Revocation {
  /** After this no token that it could end is alive. Undefined: until it is lifted. */
  readonly expiresAt?: Date | undefined
  /** Identifiers of the resources concerned; empty: all. Those of a client are found by its registration. */
  readonly audiences: readonly string[]
  /** A user: the resources of all their grants are concerned too. */
  readonly grantsOf?: string | undefined
  readonly reason: string
  /** Where the row of the grant or session lies that gets the end mark. */
  readonly row?: { readonly bucket: number; readonly id: string }
  /** Where a JWT stands in a status list. */
  readonly status?: { readonly listId: Buffer; readonly idx: number } | undefined
  /** Of `api_keys`: they end, and are not only asked about again. */
  readonly ending?: KeyEnding | undefined
  readonly event: AuditEvent
}

/** More combinations of resources than that in one user's grants, and everybody is told. */
const mostCombinations = 100

/** The SQL of the resources of all API keys of the target of `g`, a user or client, for which a token may be alive. */
const ofKeys = (owner: string) =>
  `ARRAY(SELECT DISTINCT of_key FROM api_key k CROSS JOIN LATERAL unnest(k.resources) of_key
          WHERE k.owner_kind = g.kind AND k.owner = ${owner} AND ${mayHaveTokens('k', 'g.instant')})`

/**
 * The SQL of the audiences of a row `g` of what is given; an empty array is everybody.
 *
 * Of a user's grants the combinations of resources that differ are looked up one after the other, each by the index behind
 * the one before it: so the cost is that of the APIs that somebody uses, not of the grants that they ever gave. A client
 * without a list of allowed resources can get a token for any; one whose registration was changed within the lifetime of a
 * token may have had others. What was exchanged for API keys of either is for the resources of these.
 */
const audiencesOf = `
  CASE WHEN g.grants_of IS NOT NULL THEN (
         WITH RECURSIVE granted (resources, n) AS (
           (SELECT resources, 1 FROM authorization_grant WHERE user_id = g.grants_of ORDER BY resources LIMIT 1)
            UNION ALL
           SELECT behind.resources, n + 1
             FROM granted
            CROSS JOIN LATERAL (SELECT a.resources FROM authorization_grant a
                                 WHERE a.user_id = g.grants_of AND a.resources > granted.resources
                                 ORDER BY a.resources LIMIT 1) behind
            WHERE n < ${mostCombinations}
         )
         SELECT CASE WHEN max(n) = ${mostCombinations} THEN ARRAY[]::text[]
                     ELSE string_to_array(g.audiences, ' ') || COALESCE(array_agg(DISTINCT each), ARRAY[]::text[])
                          || ${ofKeys('g.grants_of::text')} END
           FROM granted CROSS JOIN LATERAL unnest(resources) each)
       WHEN g.kind = 'client' THEN COALESCE(
         (SELECT CASE WHEN c.allowed_resources = '{}' THEN c.allowed_resources
                      ELSE c.allowed_resources || ${ofKeys('g.target')} END FROM client c
           WHERE c.client_id = g.target
             AND (c.updated_at = c.created_at OR c.updated_at < g.instant - interval '65 minutes')), ARRAY[]::text[])
       ELSE string_to_array(g.audiences, ' ') END`

/** The SQL of the audiences of two entries of one target. Whom one concerned that is long over does not matter. */
const bothAudiences = `
  CASE WHEN revocation.expires_at < excluded.instant - interval '10 minutes' THEN excluded.audiences
       WHEN cardinality(revocation.audiences) = 0 OR cardinality(excluded.audiences) = 0 THEN ARRAY[]::text[]
       ELSE ARRAY(SELECT DISTINCT each FROM unnest(revocation.audiences || excluded.audiences) each) END`

/** What a message of the outbox, of kind `revocation`, holds. Times are milliseconds since 1970. */
export interface AnnouncedRevocation {
  readonly kind: RevocationKind
  readonly target: string
  readonly terminal: boolean
  readonly instant: number
  /** Null: until it is lifted. */
  readonly expiresAt: number | null
  /** Of two about one target the later counts, whichever comes first. */
  readonly position: number
  /** The audit event that says who and why. */
  readonly event: string
  /** A client or user was enabled again. */
  readonly lifted: boolean
}

/**
 * Who hears of every revocation: what the process that delivers has said (`settings`). So whoever revokes need not know, and
 * nobody can forget.
 */
const receivers = `
    receiver AS MATERIALIZED (
      SELECT jsonb_array_elements_text(value) AS url FROM setting WHERE name = 'revocation_receivers'
    )`

/** The SQL of the messages to them, one for each row `i` of a revocation, which the same statement writes. */
function announce(rows: string, event: string, lifted: boolean): string {
  const milliseconds = (time: string) => `floor(extract(epoch FROM ${time}) * 1000)::bigint`
  return `
      ${insertMessages}
      SELECT ${messageId(`${event}::text || ' ' || i.position`, 'receiver.url')}, 'revocation', receiver.url,
             jsonb_build_object('kind', i.kind, 'target', i.target, 'terminal', i.terminal,
                                'instant', ${milliseconds('i.instant')}, 'expiresAt', ${milliseconds('i.expires_at')},
                                'position', i.position, 'event', ${event}, 'lifted', ${lifted}),
             i.time, i.time, 0
        FROM ${rows} i
       CROSS JOIN receiver
      RETURNING id`
}

/** The SQL that wakes whoever delivers what rows of `sent` have written. */
const wakeDelivery = (sent = 'sent') =>
  `(SELECT pg_notify('${notificationChannel}', '${messageNotice}')::text FROM ${sent} LIMIT 1)`

/** Everybody who revokes takes this first and holds it to the commit, so that two of them cannot deadlock. */
export const takeTurn = 'SELECT pg_advisory_xact_lock(7236402) AS lock'

/**
 * The end mark, the entry of the list, what receivers and clients are told and the audit event in one statement. The advisory lock is held
 * to the commit, so that positions are in commit order (`revocation.md`); everything waits for it, so two of them cannot
 * deadlock.
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
                           $18::uuid[], $19::text[], $20::text[], $21::jsonb[], $22::uuid[], $25::text[], $26::int[], $27::text[])
        AS i (bucket, kind, target, terminal, instant, expires_at, audiences, reason, row_bucket, row_id,
              event_bucket, event_id, event_time, event_type, event_actor, event_client_id, event_subject, event_grant_id,
              event_ip, event_request_id, event_detail, grants_of,
              status_list, status_index, ending)
    ), ahead AS MATERIALIZED (
      SELECT max(time) + interval '2 seconds' AS time FROM audit_event
       WHERE bucket BETWEEN $23 AND $23 + 1 AND time > $24::timestamptz + interval '2 seconds'
         AND time < $24::timestamptz + interval '25 hours'
    ), input AS MATERIALIZED (
      SELECT CASE WHEN a.time > g.instant AND g.expires_at IS NOT NULL
                  THEN floor(extract(epoch FROM g.expires_at + (a.time - g.instant)) / 86400)::int
                  ELSE g.bucket END AS bucket,
             g.kind, g.target, g.terminal, GREATEST(g.instant, a.time) AS instant,
             g.expires_at + (GREATEST(g.instant, a.time) - g.instant) AS expires_at, ${audiencesOf} AS audiences,
             g.reason, g.row_bucket, g.row_id, g.event_bucket, g.event_id, g.event_time, g.event_type, g.event_actor, g.event_client_id,
             g.event_subject, g.event_grant_id, g.event_ip, g.event_request_id, g.event_detail, g.status_list, g.status_index,
             g.ending
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
      RETURNING t.id, t.user_id
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
    ), ended_keys AS (
      -- With its row ends also a key that took the next second, behind an end in this one, and would be of later than not_before.
      UPDATE api_key t SET ended_at = i.instant, end_reason = 'owner_ended', updated_at = i.instant
        FROM input i, held
       WHERE i.kind IN ('user', 'client') AND t.owner_kind = i.kind AND t.owner = i.target AND t.ended_at IS NULL
         AND (t.expires_at IS NULL OR t.expires_at > i.instant)
    ), ended_together AS (
      -- No row of a key is touched: whoever reads one looks here. Each under the lock, so in the order of the commits.
      -- Of the time that it is, also where the entry is of one ahead: what expires until then lives, and must end.
      INSERT INTO api_key_end (id, target, position, ended_at, reason, replaces)
      SELECT i.event_id, i.target, nextval('revocation_position'), i.event_time, i.reason, i.ending = 'replace'
        FROM input i, held
       WHERE i.kind = 'api_keys' AND i.ending IS NOT NULL
    ), entry AS MATERIALIZED (
      SELECT i.*, nextval('revocation_position') AS position, i.event_time AS time
        FROM (SELECT DISTINCT ON (bucket, kind, target) * FROM input
               ORDER BY bucket, kind, target, terminal DESC, instant DESC) i, held
    ), listed AS (
      INSERT INTO revocation (bucket, kind, target, position, terminal, instant, audiences, reason, expires_at, subject,
                              status_list, status_index)
      SELECT i.bucket, i.kind, i.target, i.position, i.terminal, i.instant,
             i.audiences, i.reason, i.expires_at, COALESCE(i.event_subject, i.event_client_id),
             decode(i.status_list, 'hex'), i.status_index
        FROM entry i
          ON CONFLICT (bucket, kind, target) DO UPDATE
             SET position = excluded.position, terminal = revocation.terminal OR excluded.terminal,
                 instant = GREATEST(revocation.instant, excluded.instant), audiences = ${bothAudiences},
                 reason = excluded.reason, expires_at = GREATEST(revocation.expires_at, excluded.expires_at)
    ), ${receivers}, sent AS (${announce('entry', 'i.event_id', false)}
    ), ${tellClients('input', 'ended_session')}, audited AS (
      ${insertColumns}
      SELECT event_bucket, event_id, event_time, event_type, event_actor, event_client_id, event_subject, event_grant_id,
             event_ip, event_request_id, reason, event_detail, 1
        FROM (SELECT DISTINCT ON (kind, target, event_type, event_actor) * FROM input
               ORDER BY kind, target, event_type, event_actor, event_time) i, held
          -- Of many that end the same grant or session only the one that did is an event.
       WHERE i.kind NOT IN ('grant', 'session')
          OR i.row_id IN (SELECT id FROM ended_grant UNION ALL SELECT id FROM ended_session)
    )
    SELECT pg_notify('${notificationChannel}', 'revocation')::text AS listed, ${wakeDelivery()} AS sent, ${wakeDelivery('told')} AS told`,
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
    items.map(({ grantsOf }) => grantsOf ?? null),
    weekBucket(earliest(items)),
    earliest(items).toISOString(),
    items.map(({ status }) => status?.listId.toString('hex') ?? null),
    items.map(({ status }) => status?.idx ?? null),
    items.map(({ ending }) => ending ?? null),
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

/**
 * Whether everybody is told whom a committed revocation concerns. A grant or registration that was written while it was on
 * its way is not in the audiences that it found, and a token may have been issued under it until the commit.
 */
export async function reachesAll(database: Database, revocation: NewRevocation, now: Date): Promise<boolean> {
  const { kind, target, audiences, grantsOf, instant } = revocation
  const rows = await database.query(
    'revocations.reaches_all',
    `SELECT FROM (SELECT $1::text, $2::text, $3::text, $4::uuid, $5::timestamptz) g (kind, target, audiences, grants_of, instant)
      CROSS JOIN LATERAL (SELECT ${audiencesOf} AS audiences OFFSET 0) concerned
      JOIN revocation r ON r.bucket >= $6 AND r.kind = $1 AND r.target = $2
       AND (cardinality(r.audiences) = 0 OR (cardinality(concerned.audiences) > 0 AND r.audiences @> concerned.audiences))`,
    [kind, target, audiences.join(' '), grantsOf ?? null, instant.toISOString(), dayBucket(now)],
  )
  return rows.length > 0
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
    await db.query(record.name, record.text, record.parameters(all.slice(start, start + 1000)))
  }
}

/** A client or user that is enabled again, or a deleted client whose name is registered anew. */
export interface Lifting {
  readonly kind: 'client' | 'user'
  readonly target: string
  /** What was issued up to here stays ended. */
  readonly instant: Date
  /** The one that the caller writes. */
  readonly event: AuditEvent
}

/** Ends its terminal entries; where their instant is ahead, what was issued up to that stays ended. */
export async function lift(db: Db, { kind, target, instant, event }: Lifting): Promise<void> {
  await lock(db)
  // It may stand in two partitions, and is told once.
  await db.prisma.$queryRawUnsafe(
    `WITH lifted AS (
       UPDATE revocation SET terminal = false, position = nextval('revocation_position'),
              instant = CASE WHEN instant > $1::timestamptz + interval '2 seconds' THEN instant ELSE $1::timestamptz END
        WHERE bucket >= $2::int AND kind = $3 AND target = $4
       RETURNING kind, target, terminal, instant, expires_at, position
     ), entry AS MATERIALIZED (
       SELECT *, $6::timestamptz AS time FROM lifted ORDER BY position DESC LIMIT 1
     ), ${receivers}, sent AS (${announce('entry', '$5::uuid', true)}
     )
     SELECT pg_notify('${notificationChannel}', 'revocation')::text AS listed, ${wakeDelivery()} AS sent`,
    ...[instant.toISOString(), dayBucket(instant), kind, target, event.id, event.time.toISOString()],
  )
}

/**
 * A new primary never had what the one before showed at the end, and gives its positions to other entries: whoever knows
 * them would go on behind these, and miss them. So what lies in between gets positions that nobody can know.
 */
export async function relist(database: Database, behind: bigint, known: bigint): Promise<void> {
  // Two statements: the second must see what was committed while the first waited.
  await transactionOn(database.pool, `BEGIN; ${takeTurn}`, async (client) => {
    await client.query(`SELECT setval('revocation_position', GREATEST(last_value, $1)) FROM revocation_position`, [
      known,
    ])
    await client.query(
      `WITH relisted AS (
         UPDATE revocation SET position = nextval('revocation_position') WHERE position > $1 AND position <= $2
         RETURNING position
       )
       SELECT pg_notify('${notificationChannel}', 'revocation') FROM (SELECT FROM relisted LIMIT 1) one`,
      [behind, known],
    )
  })
}

/**
 * Deletes what was lifted so long ago that it ends no token that could be alive: an access token lives an hour. What has no
 * end lies in no partition that is dropped, so whoever is disabled and enabled again would leave a row for ever.
 *
 * @returns how many
 */
export async function deleteLifted(db: Db, now: Date): Promise<number> {
  const dayAgo = new Date(now.getTime() - 86_400_000)
  const rows = await db.query(
    'revocations.delete_lifted',
    'DELETE FROM revocation WHERE bucket = $1::int AND NOT terminal AND instant < $2::timestamptz RETURNING bucket',
    [permanentBucket, dayAgo],
  )
  return rows.length
}

export * from './listed-revocations.js'
