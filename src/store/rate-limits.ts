import type { BatchedStatement, Database, Db } from './database.js'

/** How many requests somebody wants to be allowed of a key. */
export interface RateLease {
  /** A keyed hash. */
  readonly key: Buffer
  readonly units: number
  readonly limit: number
  /** Seconds. */
  readonly window: number
  readonly burst: number
  readonly now: Date
}

export interface RateGrant {
  /** At most what was asked. */
  readonly granted: number
  /** Milliseconds that the theoretical arrival time lies ahead: what is used up. */
  readonly debt: number
}

/** Nanoseconds in which one request comes back, never too few. */
const emissionOf = ({ limit, window }: RateLease): bigint => {
  const [period, parts] = [BigInt(window) * 1_000_000_000n, BigInt(limit)]
  return (period + parts - 1n) / parts
}

interface Merged {
  readonly ask: RateLease
  units: number
}

/** The asks by their key, since one statement can change a row once only. */
function merge(items: readonly RateLease[]): ReadonlyMap<string, Merged> {
  const merged = new Map<string, Merged>()
  for (const ask of items) {
    const key = ask.key.toString('binary')
    const known = merged.get(key)
    if (known) known.units += ask.units
    else merged.set(key, { ask, units: ask.units })
  }
  return merged
}

/**
 * The generic cell rate algorithm for all keys of one turn: `limits/gcra.ts` in SQL, on whole nanoseconds. A theoretical
 * arrival time that lies further ahead than any clock of ours may be wrong is that of a wrong clock, and counts as a burst
 * that is used up. EXCLUDED holds what was asked: `granted` is how many at most.
 */
const leaseAll: BatchedStatement<RateLease, RateGrant> = {
  name: 'rate_limits.lease',
  text: `
    WITH ask AS (
      SELECT key, least(units, tolerance / emission) AS units, emission, tolerance
        FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[]) AS a (key, units, emission, tolerance)
    )
    INSERT INTO rate_limit AS r (key, tat, emission, tolerance, granted)
    SELECT key, $1::bigint + units * emission, emission, tolerance, units FROM ask ORDER BY key
        ON CONFLICT (key) DO UPDATE
       SET (tat, granted) = (
             SELECT base + n * EXCLUDED.emission, n
               FROM (SELECT base, least(EXCLUDED.granted, greatest(0, ($1 + EXCLUDED.tolerance - base) / EXCLUDED.emission)) AS n
                       FROM (SELECT CASE WHEN r.tat > $1 + 2 * EXCLUDED.tolerance + 10000000000 THEN $1 + EXCLUDED.tolerance
                                         ELSE greatest(r.tat, $1) END AS base) b) g)
    RETURNING key, granted, greatest(0, tat - $1)::float8 / 1000000 AS debt`,
  parameters(items) {
    const all = [...merge(items).values()]
    const emissions = all.map(({ ask }) => emissionOf(ask))
    const now = Math.max(...items.map((item) => item.now.getTime()))
    return [
      `${now}000000`,
      all.map(({ ask }) => ask.key),
      all.map(({ units }) => units),
      emissions.map(String),
      all.map(({ ask }, index) => String(emissions[index]! * BigInt(ask.burst))),
    ]
  },
  results(items, rows) {
    const left = new Map(rows.map((row) => [(row['key'] as Buffer).toString('binary'), { ...row }]))
    return items.map(({ key, units }) => {
      const row = left.get(key.toString('binary'))!
      const granted = Math.min(units, row['granted'])
      row['granted'] -= granted
      return { granted, debt: row['debt'] }
    })
  },
}

/** Leases as many of the asked requests as conform. Of concurrent callers together no more than conform. */
export function lease(database: Database, ask: RateLease): Promise<RateGrant> {
  return database.run(leaseAll, ask)
}

/** Seconds after which somebody who was not seen is gone. */
const presence = 30

export interface Presence {
  /** What is leased from: `server`, or an API. */
  readonly scope: string
  readonly id: string
  readonly now: Date
}

/** Says that somebody leases. @returns how many do, with this one */
export async function announce(database: Database, { scope, id, now }: Presence): Promise<number> {
  const rows = await database.query(
    'rate_limits.announce',
    `WITH seen AS (
       INSERT INTO rate_limit_holder AS h (scope, id, seen_at) VALUES ($1, $2, $3)
           ON CONFLICT (scope, id) DO UPDATE SET seen_at = EXCLUDED.seen_at
     )
     SELECT 1 + count(*)::int AS count FROM rate_limit_holder
      WHERE scope = $1 AND id <> $2 AND seen_at > $3::timestamptz - interval '${presence} seconds'`,
    [scope, id, now],
  )
  return rows[0]?.['count'] ?? 1
}

/** It leases no more. */
export async function leave(database: Database, { scope, id }: Omit<Presence, 'now'>): Promise<void> {
  await database.query('rate_limits.leave', 'DELETE FROM rate_limit_holder WHERE scope = $1 AND id = $2', [scope, id])
}

/** Deletes what has been whole again for an hour, which is as if it had never been there, and who is gone. */
export async function sweep(db: Db, now: Date): Promise<void> {
  const before = now.getTime() - 3_600_000
  await db.query('rate_limits.sweep', 'DELETE FROM rate_limit WHERE tat < $1::bigint', [`${before}000000`])
  await db.query('rate_limits.sweep_holders', 'DELETE FROM rate_limit_holder WHERE seen_at < $1', [new Date(before)])
}
