import { type ArrayParameter, byteas, ints, texts, times, uuids } from './arrays.js'
import { dayBucket } from './buckets.js'
import { type BatchedStatement, type Database, sqlState } from './database.js'
import { mayHaveTokens } from './key-tokens.js'

/** Indexes of one list: as many as the test vectors of the specification have. */
export const statusListSize = 2 ** 20

/** Seconds: a list is for tokens that expire in one such period, so it is over as a whole. */
const periodLength = 600

/** @param exp seconds since 1970 */
export function statusPeriod(exp: number): number {
  return Math.floor(exp / periodLength)
}

/** When no token of the period is alive any more. */
export function endOfStatusPeriod(period: number): Date {
  return new Date((period + 1) * periodLength * 1000)
}

/**
 * For whose tokens indexes are: of one signing key, and of a client that acts for itself at one resource, or of an API key
 * (whose id the tokens have as `client_id`), or of users' grants.
 */
export interface StatusOwner {
  readonly kid: string
  readonly service?: { readonly clientId: string; readonly audience: string } | undefined
}

export interface StatusLease {
  readonly owner: StatusOwner
  readonly period: number
  readonly size: number
  /** The first of the tokens that it is for is of this time. */
  readonly leasedAt: Date
  /** For the list, if a new one begins. */
  readonly newId: Buffer
}

export interface LeasedStatusBlock {
  readonly listId: Buffer
  readonly first: number
  /** Of the database: what was leased from another one may have been forgotten. */
  readonly incarnation: string
}

/**
 * Leases blocks at the end of the newest list of their period, or begins the next list. Two processes that begin the same one
 * meet in its key, and the second goes on where the first ended.
 *
 * A database that was started again may be an older state of itself: restored, or the standby of one that was lost. It no
 * longer knows what was leased, so it begins new lists, and no index is given twice. (The OID tells databases of one server
 * apart. Our own `restore` leaves lists out.)
 */
const leaseAll: BatchedStatement<StatusLease, LeasedStatusBlock | undefined> = {
  name: 'status_lists.lease',
  size: 64,
  inFlight: 1,
  text: `
    WITH need AS (
      SELECT * FROM unnest($1::int[], $2::int[], $3::int[], $4::bytea[], $5::timestamptz[], $6::timestamptz[])
        AS n (bucket, period, total, id, expires_at, now)
    ), here AS MATERIALIZED (
      SELECT extract(epoch FROM pg_postmaster_start_time())::text || '/' || oid AS incarnation
        FROM pg_database WHERE datname = current_database()
    ), place AS MATERIALIZED (
      SELECT n.*, d.incarnation,
             CASE WHEN l.number IS NULL THEN 0
                  WHEN l.taken + n.total > ${statusListSize} OR l.incarnation <> d.incarnation THEN l.number + 1
                  ELSE l.number END AS number
        FROM need n CROSS JOIN here d
        LEFT JOIN LATERAL (SELECT number, taken, incarnation FROM status_list
                            WHERE bucket = n.bucket AND period = n.period ORDER BY number DESC LIMIT 1) l ON true
    ), leased AS (
      INSERT INTO status_list AS l (bucket, period, number, id, taken, incarnation, created_at, expires_at)
      -- In one order, so that two processes cannot deadlock.
      SELECT bucket, period, number, id, total, incarnation, now, expires_at FROM place ORDER BY bucket, period
          ON CONFLICT (bucket, period, number) DO UPDATE SET taken = l.taken + excluded.taken
       WHERE l.taken + excluded.taken <= ${statusListSize} AND l.incarnation = excluded.incarnation
      RETURNING l.period, l.id, l.taken, l.incarnation
    ), written AS (
      INSERT INTO status_block (bucket, list_id, first, size, client_id, audience, kid, leased_at)
      SELECT n.bucket, l.id, l.taken - n.total + b.start, b.size, b.client_id, b.audience, b.kid, b.leased_at
        FROM unnest($7::int[], $8::int[], $9::int[], $10::text[], $11::text[], $12::text[], $13::timestamptz[])
          AS b (period, start, size, client_id, audience, kid, leased_at)
        JOIN need n USING (period) JOIN leased l USING (period)
    )
    SELECT l.period, l.id, l.taken - n.total AS first, l.incarnation FROM leased l JOIN need n USING (period)`,
  parameters: (items) => {
    const { starts, totals } = layOut(items)
    const firsts = [...totals.keys()].map((period) => items.find((item) => item.period === period)!)
    return [
      ints(firsts.map(({ period }) => dayBucket(endOfStatusPeriod(period)))),
      ints(firsts.map(({ period }) => period)),
      ints([...totals.values()]),
      byteas(firsts.map(({ newId }) => newId)),
      times(firsts.map(({ period }) => endOfStatusPeriod(period))),
      times(firsts.map(({ leasedAt }) => leasedAt)),
      ints(items.map(({ period }) => period)),
      ints(starts),
      ints(items.map(({ size }) => size)),
      texts(items.map(({ owner }) => owner.service?.clientId)),
      texts(items.map(({ owner }) => owner.service?.audience)),
      texts(items.map(({ owner }) => owner.kid)),
      times(items.map(({ leasedAt }) => leasedAt)),
    ]
  },
  results: (items, rows) => {
    const { starts } = layOut(items)
    const byPeriod = new Map(rows.map((row) => [row['period'], row]))
    return items.map(({ period }, index) => {
      const row = byPeriod.get(period)
      return row && { listId: row['id'], first: row['first'] + starts[index]!, incarnation: row['incarnation'] }
    })
  },
}

/** Where each begins in what its period takes, and how much that is. */
function layOut(items: readonly StatusLease[]): { starts: number[]; totals: Map<number, number> } {
  const totals = new Map<number, number>()
  const starts = items.map(({ period, size }) => {
    const start = totals.get(period) ?? 0
    totals.set(period, start + size)
    return start
  })
  return { starts, totals }
}

/** The largest block: as many of them as one statement leases fit into a list. */
export const largestStatusBlock = statusListSize / 64

/** @returns undefined where somebody else took the rest of the list meanwhile: nothing happened, ask again */
export function lease(database: Database, item: StatusLease): Promise<LeasedStatusBlock | undefined> {
  return database.run(leaseAll, item)
}

/** The index of a token that a user's grant gave; the grant, the user and the client are those of its row. */
export interface NewStatusIndex {
  readonly bucket: number
  readonly listId: Buffer
  readonly idx: number
  readonly sessionId?: string | undefined
  readonly audience: string
  readonly iat: number
}

/** Written by the statement that spends what the token was made for. @param first the number of its first parameter */
export function writeStatusIndex(first: number, nth: (parameter: number, type: string) => string): string {
  return `
      INSERT INTO status_index (bucket, list_id, idx, session_id, audience, iat, user_id, grant_id, client_id)
      SELECT ${nth(first, 'int')}, ${nth(first + 1, 'bytea')}, ${nth(first + 2, 'int')}, ${nth(first + 3, 'uuid')},
             ${nth(first + 4, 'text')}, ${nth(first + 5, 'int')}, p.user_id, p.grant_id, p.client_id
        FROM presented p WHERE ${nth(first, 'int')} IS NOT NULL`
}

export function statusIndexParameters(all: readonly (NewStatusIndex | undefined)[]): readonly ArrayParameter[] {
  return [
    ints(all.map((index) => index?.bucket)),
    byteas(all.map((index) => index?.listId)),
    ints(all.map((index) => index?.idx)),
    uuids(all.map((index) => index?.sessionId)),
    texts(all.map((index) => index?.audience)),
    ints(all.map((index) => index?.iat)),
  ]
}

/** What is to be set in the lists since some position of the revocation list. */
export interface StatusChanges {
  readonly lists: readonly { readonly id: Buffer; readonly expiresAt: Date }[]
  /** As in the tokens. */
  readonly indexes: readonly { readonly listId: Buffer; readonly idx: readonly number[] }[]
  /** Before the permutation of the list. */
  readonly blocks: readonly { readonly listId: Buffer; readonly first: number; readonly size: number }[]
  /** How many revocations were read: as many as the limit, and there may be more. */
  readonly read: number
  /** Of the last revocation that was read; undefined without any. */
  readonly position: bigint | undefined
  /** Of the last one that is older than `settled`. */
  readonly settled: bigint | undefined
}

const day = 86_400_000

/** Seconds since 1970 up to which the revocation `r` ends tokens. */
const endsUntil = `CASE WHEN r.terminal THEN 'infinity' ELSE floor(extract(epoch FROM r.instant)) END`

/** Of an API key `a`. Others have no token that is alive, however many of them there are. */
const keyMatters = mayHaveTokens('a', '$2::timestamptz')

const changes = `
    WITH fresh AS MATERIALIZED (
      SELECT r.*, ${endsUntil} AS until,
             CASE WHEN r.kind IN ('grant', 'session', 'user', 'role') AND r.subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                  THEN r.subject::uuid END AS owner
        FROM revocation r
       WHERE r.position > $1 AND (r.expires_at IS NULL OR r.expires_at > $2::timestamptz) ORDER BY r.position LIMIT $3
    ), ended AS (
      SELECT status_list AS list_id, status_index AS idx FROM fresh WHERE kind = 'token' AND status_list IS NOT NULL
       UNION ALL
      SELECT i.list_id, i.idx
        FROM fresh r CROSS JOIN LATERAL (SELECT * FROM status_index
                                          WHERE bucket BETWEEN $4 AND $5 AND user_id = r.owner OFFSET 0) i
       WHERE i.iat <= r.until
         AND CASE r.kind WHEN 'grant' THEN i.grant_id::text = r.target
                         WHEN 'session' THEN i.session_id::text = r.target
                         WHEN 'role' THEN r.subject || ' ' || i.audience = r.target
                         ELSE true END
       UNION ALL
      SELECT i.list_id, i.idx
        FROM fresh r CROSS JOIN LATERAL (SELECT * FROM status_index
                                          WHERE bucket BETWEEN $4 AND $5 AND client_id = r.target OFFSET 0) i
       WHERE r.kind = 'client' AND i.iat <= r.until
    ), whose AS (
      SELECT until, NULL AS role, kind AS owner_kind, target AS owner FROM fresh WHERE kind IN ('user', 'client')
       UNION ALL
      SELECT until, NULL, o.kind, substr(target, length(o.kind) + 8)
        FROM fresh JOIN (VALUES ('user'), ('client')) o (kind) ON starts_with(target, 'owner:' || o.kind || ':')
       WHERE fresh.kind = 'api_keys'
       UNION ALL
      SELECT until, target, o.kind, subject FROM fresh CROSS JOIN (VALUES ('user'), ('client')) o (kind) WHERE fresh.kind = 'role'
    ), service AS (
      SELECT until, CASE WHEN kind = 'role' THEN target END AS role, subject AS holder,
             CASE WHEN kind = 'role' THEN subject ELSE target END AS client_id
        FROM fresh WHERE kind IN ('client', 'role', 'api_key')
       UNION ALL
      -- Each API key that ends with others has blocks of its own.
      SELECT w.until, w.role, w.owner, k.id
        FROM whose w CROSS JOIN LATERAL (SELECT id FROM api_key a
                                          WHERE owner_kind = w.owner_kind AND owner = w.owner AND ${keyMatters} OFFSET 0) k
       UNION ALL
      SELECT r.until, NULL, NULL, k.id
        FROM fresh r CROSS JOIN LATERAL (SELECT id FROM api_key a
                                          WHERE prefix = substr(r.target, 8) AND ${keyMatters} OFFSET 0) k
       WHERE r.kind = 'api_keys' AND starts_with(r.target, 'prefix:')
       UNION ALL
      SELECT r.until, NULL, NULL, k.id FROM fresh r CROSS JOIN api_key k WHERE r.kind = 'api_keys' AND r.target = 'all'
    ), blocks AS (
      SELECT b.list_id, b.first, b.size
        FROM service s CROSS JOIN LATERAL (SELECT * FROM status_block
                                            WHERE bucket BETWEEN $4 AND $5 AND client_id = s.client_id OFFSET 0) b
       WHERE (s.role IS NULL OR s.holder || ' ' || b.audience = s.role) AND extract(epoch FROM b.leased_at) <= s.until
       UNION ALL
      -- Whatever a key signed that was revoked; without an index, since that happens once in years.
      SELECT b.list_id, b.first, b.size FROM fresh r JOIN status_block b ON b.kid = r.target
       WHERE r.kind = 'key' AND b.bucket BETWEEN $4 AND $5
    )
    SELECT 'list' AS what, id, NULL::int AS first, NULL::int AS size, NULL::bytea AS idx, expires_at,
           NULL::bigint AS position, NULL::bigint AS settled
      FROM status_list WHERE bucket BETWEEN $4 AND $5 AND expires_at > $2::timestamptz
     UNION ALL
    SELECT 'index', list_id, NULL, NULL, string_agg(int4send(idx), ''), NULL, NULL, NULL FROM ended GROUP BY list_id
     UNION ALL
    SELECT 'block', list_id, first, size, NULL, NULL, NULL, NULL FROM blocks
     UNION ALL
    SELECT 'end', NULL, NULL, count(*)::int, NULL, NULL, max(position),
           max(position) FILTER (WHERE instant < $6::timestamptz) FROM fresh`

/**
 * Milliseconds for what takes longer than a statement may: a client that is ended with millions of live tokens of users has
 * a row for each. Whoever asks for a list meanwhile waits too, or comes again.
 */
const patience = 60_000

/**
 * The lists that are not over, and what ends in them by the revocations behind the position, the first `limit` of these: one
 * statement, so nothing happens in between.
 *
 * @param since what was over before is left out
 */
export async function listChanges(
  database: Database,
  position: bigint,
  { now, since, settled, limit }: { now: Date; since: Date; settled: Date; limit: number },
): Promise<StatusChanges> {
  const parameters = [
    position.toString(),
    since.toISOString(),
    limit,
    // A process whose clock is wrong may have issued tokens for another day (attack 133).
    dayBucket(new Date(now.getTime() - day)),
    dayBucket(new Date(now.getTime() + day)),
    settled.toISOString(),
  ]
  const rows = await database.query('status_lists.changes', changes, parameters).catch((error) => {
    if (sqlState(error) !== '57014') throw error
    return database.queryFor(patience, 'status_lists.changes', changes, parameters)
  })
  const of = (what: string) => rows.filter((row) => row['what'] === what)
  const [end] = of('end')
  return {
    lists: of('list').map((row) => ({ id: row['id'], expiresAt: row['expires_at'] })),
    indexes: of('index').map((row) => ({ listId: row['id'], idx: readInts(row['idx']) })),
    blocks: of('block').map((row) => ({ listId: row['id'], first: row['first'], size: row['size'] })),
    read: end?.['size'] ?? 0,
    position: toPosition(end?.['position']),
    settled: toPosition(end?.['settled']),
  }
}

function toPosition(value: string | null | undefined): bigint | undefined {
  return value === null || value === undefined ? undefined : BigInt(value)
}

function readInts(bytes: Buffer): readonly number[] {
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readInt32BE(index * 4))
}
