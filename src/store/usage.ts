import { dayBucket, weekBucket } from './buckets.js'
import type { Database, Row } from './database.js'
import { seconds, toTime } from './rows.js'

export type CredentialKind = 'api_key' | 'client' | 'client_secret'

/** What is used: a key by its id, a client, or one of its secrets, by its id, that was rotated. */
export interface CredentialUse {
  readonly kind: CredentialKind
  readonly credential: string
  /** The identifier of an API. */
  readonly api: string
  /** The key or secret had a successor. */
  readonly superseded: boolean
}

/** Uses of one hour, for one scope or, where it is empty, whatever they were for. */
export interface CountedUse extends CredentialUse {
  readonly hour: Date
  readonly scope: string
  readonly outcome: string
  readonly count: number
}

/** Uses from one network. */
export interface NetworkUse extends CredentialUse {
  readonly network: string
  readonly firstSeen: Date
  readonly lastSeen: Date
  readonly count: number
}

/**
 * Networks of one credential that are told apart on a day at one API: whoever has a key and many addresses must not fill the
 * disk, and what one API says of networks must not hide what others saw.
 */
export const networksADay = 100

/** Stands for all networks beyond that. */
export const moreNetworks = 'more'

/** Adds to what is there. Rows are taken in one order, so that processes which write the same ones cannot deadlock. */
export async function add(database: Database, uses: readonly CountedUse[]): Promise<void> {
  await database.query(
    'usage.add',
    `INSERT INTO usage_count AS u (bucket, kind, credential, hour, api, scope, outcome, superseded, count)
     SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
                          $8::boolean[], $9::bigint[]) AS i (bucket, kind, credential, hour, api, scope, outcome, superseded, count)
      ORDER BY bucket, kind, credential, hour, api, scope, outcome, superseded
         ON CONFLICT (bucket, kind, credential, hour, api, scope, outcome, superseded)
         DO UPDATE SET count = u.count + excluded.count`,
    [
      uses.map(({ hour }) => weekBucket(hour)),
      uses.map(({ kind }) => kind),
      uses.map(({ credential }) => credential),
      uses.map(({ hour }) => hour),
      uses.map(({ api }) => api),
      uses.map(({ scope }) => scope),
      uses.map(({ outcome }) => outcome),
      uses.map(({ superseded }) => superseded),
      uses.map(({ count }) => count),
    ],
  )
}

/**
 * The same of networks. What a day has no room for is counted under `more`; two processes at one moment may each fill the
 * rest of it.
 */
export async function addNetworks(database: Database, uses: readonly NetworkUse[]): Promise<void> {
  await database.query(
    'usage.add_networks',
    `WITH i AS (
       SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::boolean[],
                            $8::timestamptz[], $9::timestamptz[], $10::bigint[])
                AS i (bucket, kind, credential, day, api, network, superseded, first_seen, last_seen, count)
     ), seen AS (
       SELECT i.*, EXISTS (SELECT FROM usage_network u
                            WHERE u.bucket = i.bucket AND u.kind = i.kind AND u.credential = i.credential AND u.day = i.day
                              AND u.api = i.api AND u.network = i.network AND u.superseded = i.superseded) AS known
         FROM i
     ), ranked AS (
       SELECT seen.*, row_number() OVER (PARTITION BY bucket, kind, credential, day, api, known ORDER BY network, superseded) AS place
         FROM seen
     ), fitted AS (
       SELECT bucket, kind, credential, day, api, superseded, first_seen, last_seen, count,
              CASE WHEN known OR place <= ${networksADay} - (
                     SELECT count(*) FROM usage_network u
                      WHERE u.bucket = r.bucket AND u.kind = r.kind AND u.credential = r.credential AND u.day = r.day
                        AND u.api = r.api)
                   THEN network ELSE '${moreNetworks}' END AS network
         FROM ranked r
     )
     INSERT INTO usage_network AS u (bucket, kind, credential, day, api, network, superseded, first_seen, last_seen, count)
     SELECT bucket, kind, credential, day, api, network, superseded, min(first_seen), max(last_seen), sum(count)
       FROM fitted GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
         ON CONFLICT (bucket, kind, credential, day, api, network, superseded)
         DO UPDATE SET first_seen = LEAST(u.first_seen, excluded.first_seen),
                       last_seen = GREATEST(u.last_seen, excluded.last_seen), count = u.count + excluded.count`,
    [
      uses.map(({ lastSeen }) => weekBucket(lastSeen)),
      uses.map(({ kind }) => kind),
      uses.map(({ credential }) => credential),
      uses.map(({ lastSeen }) => dayBucket(lastSeen)),
      uses.map(({ api }) => api),
      uses.map(({ network }) => network),
      uses.map(({ superseded }) => superseded),
      uses.map(({ firstSeen }) => firstSeen),
      uses.map(({ lastSeen }) => lastSeen),
      uses.map(({ count }) => count),
    ],
  )
}

/** Which uses are asked for. */
export interface UsageFilter {
  readonly kind: CredentialKind
  readonly credentials: readonly string[]
  readonly since: Date
  readonly now: Date
}

/** Partitions are visited by their bucket: those of the time that is asked for. A clock may be ahead of ours. */
const span = ({ kind, credentials, since, now }: UsageFilter): readonly unknown[] => [
  kind,
  credentials,
  weekBucket(since),
  weekBucket(now) + 1,
]

const meant = 'kind = $1 AND credential = ANY ($2::text[]) AND bucket BETWEEN $3 AND $4'

/** Their uses by the hour or day, oldest first. */
export async function list(
  database: Pick<Database, 'query'>,
  filter: UsageFilter,
  unit: 'hour' | 'day',
): Promise<readonly CountedUse[]> {
  const rows = await database.query(
    'usage.list',
    `SELECT kind, credential, ${seconds("date_trunc($5, hour, 'UTC')")} AS time, api, scope, outcome, superseded, sum(count)::float8 AS count
       FROM usage_count WHERE ${meant} AND hour >= date_trunc('hour', $6::timestamptz, 'UTC')
      GROUP BY kind, credential, time, api, scope, outcome, superseded
      ORDER BY time, credential, api, scope, outcome, superseded`,
    [...span(filter), unit, filter.since],
  )
  return rows.map((row) => ({
    ...useOf(row),
    hour: toTime(row['time']),
    scope: row['scope'],
    outcome: row['outcome'],
    count: row['count'],
  }))
}

/** The same without times. */
export async function totals(
  database: Pick<Database, 'query'>,
  filter: UsageFilter,
): Promise<readonly Omit<CountedUse, 'hour'>[]> {
  const rows = await database.query(
    'usage.totals',
    `SELECT kind, credential, api, scope, outcome, superseded, sum(count)::float8 AS count
       FROM usage_count WHERE ${meant} AND hour >= date_trunc('hour', $5::timestamptz, 'UTC')
      GROUP BY kind, credential, api, scope, outcome, superseded ORDER BY credential, api, scope, outcome, superseded`,
    [...span(filter), filter.since],
  )
  return rows.map((row) => ({
    ...useOf(row),
    scope: row['scope'],
    outcome: row['outcome'],
    count: row['count'],
  }))
}

export interface UsedNetwork extends NetworkUse {
  /** On which it was seen. */
  readonly days: number
}

/** From where they were used since that day, the busiest first. */
export async function networks(
  database: Pick<Database, 'query'>,
  filter: UsageFilter,
): Promise<readonly UsedNetwork[]> {
  const rows = await database.query(
    'usage.networks',
    `SELECT kind, credential, api, network, superseded, ${seconds('min(first_seen)')} AS first_seen,
            ${seconds('max(last_seen)')} AS last_seen, sum(count)::float8 AS count, count(DISTINCT day)::int AS days
       FROM usage_network WHERE ${meant} AND day >= $5
      GROUP BY kind, credential, api, network, superseded ORDER BY credential, count DESC, api, network, superseded`,
    [...span(filter), dayBucket(filter.since)],
  )
  return rows.map((row) => ({
    ...useOf(row),
    network: row['network'],
    firstSeen: toTime(row['first_seen']),
    lastSeen: toTime(row['last_seen']),
    count: row['count'],
    days: row['days'],
  }))
}

/** Since when uses are counted here: of what is older, nothing is known. Undefined: nothing was counted yet. */
export async function countedSince(database: Pick<Database, 'query'>): Promise<Date | undefined> {
  const [row] = await database.query(
    'usage.counted_since',
    `SELECT ${seconds('min(hour)')} AS time FROM usage_count WHERE bucket = (SELECT min(bucket) FROM usage_count)`,
    [],
  )
  return row && row['time'] !== null ? toTime(row['time']) : undefined
}

function useOf(row: Row): CredentialUse {
  return { kind: row['kind'], credential: row['credential'], api: row['api'], superseded: row['superseded'] }
}
