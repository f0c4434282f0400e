import { type AuditEvent, insertColumns } from './audit-events.js'
import { dayBucket, weekBucket } from './buckets.js'
import { notificationChannel } from './changes.js'
import type { Database } from './database.js'

/** Failures of one key (an account and a network, say) in one window of time. */
export interface FailureKey {
  readonly key: Buffer
  /** Counts windows since 1970. */
  readonly window: number
  readonly windowStart: Date
}

const columns = (keys: readonly FailureKey[]): unknown[] => [
  keys.map(({ windowStart }) => dayBucket(windowStart)),
  keys.map(({ key }) => key),
  keys.map(({ window }) => window),
]

/** @returns the count for each key, in their order */
export async function count(database: Database, keys: readonly FailureKey[]): Promise<readonly number[]> {
  const rows = await database.query(
    'failures.count',
    `SELECT i.n, f.count FROM unnest($1::int[], $2::bytea[], $3::int[]) WITH ORDINALITY AS i (bucket, key, "window", n)
       JOIN failure_count f ON f.bucket = i.bucket AND f.key = i.key AND f."window" = i."window"`,
    columns(keys),
  )
  const counts = keys.map(() => 0)
  for (const row of rows) counts[Number(row['n']) - 1] = row['count']
  return counts
}

/**
 * Counts one more for each key, writes the event and tells every process. Keys are taken in a fixed order, so two
 * processes cannot deadlock.
 *
 * @param event left out where one counted event stands for many
 * @returns the new count for each key, in their order
 */
export async function add(
  database: Database,
  keys: readonly FailureKey[],
  event?: AuditEvent,
): Promise<readonly number[]> {
  const rows = await database.query(
    'failures.add',
    `WITH counted AS (
       INSERT INTO failure_count AS f (bucket, key, "window", count)
       SELECT bucket, key, "window", 1 FROM unnest($1::int[], $2::bytea[], $3::int[]) AS i (bucket, key, "window") ORDER BY key
           ON CONFLICT (bucket, key, "window") DO UPDATE SET count = f.count + 1
       RETURNING key, "window", count
     ), audited AS (
       ${insertColumns}
       SELECT $4::int, $5::uuid, $6::timestamptz, $7::text, $8::text, $9::text, $10::text, NULL, $11::text, $12::text, $13::text,
              $14::jsonb, 1 WHERE $5::uuid IS NOT NULL
     )
     SELECT key, count,
            pg_notify('${notificationChannel}', 'failures:' || encode(key, 'hex') || ':' || "window" || ':' || count) FROM counted`,
    [
      ...columns(keys),
      event ? weekBucket(event.time) : null,
      event?.id ?? null,
      event?.time ?? null,
      event?.type ?? null,
      event?.actor ?? null,
      event?.clientId ?? null,
      event?.subject ?? null,
      event?.ip ?? null,
      event?.requestId ?? null,
      event?.reason ?? null,
      event?.detail ? JSON.stringify(event.detail) : null,
    ],
  )
  return keys.map(({ key }) => rows.find((row) => (row['key'] as Buffer).equals(key))?.['count'] ?? 0)
}

/** Forgets the failures of a key: after a success. */
export async function clear(database: Database, key: FailureKey): Promise<void> {
  await database.query(
    'failures.clear',
    `WITH gone AS (DELETE FROM failure_count WHERE bucket = $1 AND key = $2 AND "window" = $3 RETURNING key, "window")
     SELECT pg_notify('${notificationChannel}', 'failures:' || encode(key, 'hex') || ':' || "window" || ':0') FROM gone`,
    [dayBucket(key.windowStart), key.key, key.window],
  )
}
