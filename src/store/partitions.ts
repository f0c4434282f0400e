import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Config } from '../platform/config/index.js'
import { dayBucket, permanentBucket, weekBucket } from './buckets.js'
import { type Db, sqlState, transactionOn } from './database.js'

interface Partitioned {
  readonly table: string
  readonly bucket: (time: Date) => number
  /** Milliseconds that a partition covers. */
  readonly length: number
  /** Milliseconds that rows are kept which are over, where that is longer than the rest. */
  readonly kept?: number
  /** Percent of a page that new rows may take. Default 100. */
  readonly fillfactor?: number
}

const day = 86_400_000
const byDay = (table: string): Partitioned => ({ table, bucket: dayBucket, length: day })
const byWeek = (table: string): Partitioned => ({ table, bucket: weekBucket, length: 7 * day })

/** Every row is changed once, later: with room for it beside the row, the change needs no new entry in an index. */
const usedOnce = { fillfactor: 50 }

/** Ninety days can be asked for; the rest is for clocks and weeks. A row is changed for as long as its hour or day lasts. */
const counts = { kept: 100 * day, fillfactor: 80 }

/** All tables of rows that expire. */
export const partitionedTables: readonly Partitioned[] = [
  byWeek('authorization_grant'),
  { ...byDay('authorization_code'), ...usedOnce },
  { ...byWeek('refresh_token'), ...usedOnce },
  byDay('refresh_answer'),
  byDay('access_token'),
  byDay('client_assertion'),
  byWeek('session'),
  byDay('interaction'),
  byDay('revocation'),
  byDay('failure_count'),
  byDay('status_list'),
  byDay('status_block'),
  byDay('status_index'),
  byWeek('audit_event'),
  { ...byWeek('usage_count'), ...counts },
  { ...byWeek('usage_network'), ...counts },
]

/** How long rows of a kind may live from now, and how long what is over is kept. */
export interface Horizon {
  /** Seconds: the longest lifetime of a grant, over all clients and settings. */
  readonly grantLifetime: number
  readonly sessionLifetime: number
  /** Days that audit events are kept. */
  readonly auditRetentionDays: number
}

/** The horizon of this installation: its settings, and what its clients were given beyond them. */
export async function horizonOf(db: Db, config: Config): Promise<Horizon> {
  return {
    grantLifetime: Math.max(config.tokens.refreshTokenLifetime, await longestRefreshTokenLifetime(db)),
    sessionLifetime: config.sessions.lifetime,
    auditRetentionDays: config.audit.retentionDays,
  }
}

/** Seconds: the longest that any client's refresh tokens may live; partitions are created that far ahead. */
async function longestRefreshTokenLifetime(db: Db): Promise<number> {
  const [row] = await db.query(
    'clients.longest_refresh_token',
    'SELECT max(refresh_token_lifetime) AS longest FROM client',
    [],
  )
  return row?.['longest'] ?? 0
}

/** Held by whoever reads everything. */
export const dumpLock = 7_236_405

/** Serialises whoever creates or drops partitions. */
export const maintenanceLock = 7_236_401

/**
 * Creates the partitions that will be needed within the horizon. Rows that fell into the DEFAULT partition meanwhile are
 * moved. Safe to call from several processes. While a backup runs it does nothing: the DEFAULT partitions are there.
 *
 * @returns the names of what was created
 */
export async function ensurePartitions(pool: pg.Pool, horizon: Horizon, now: Date): Promise<readonly string[]> {
  const existing = await existingPartitions(pool)
  const created: string[] = []
  for (const entry of partitionedTables) {
    const missing = neededBuckets(entry, horizon, now).filter(
      (bucket) => !existing.has(partitionName(entry.table, bucket)),
    )
    if (missing.length > 0) created.push(...((await createPartitions(pool, entry, missing)) ?? []))
  }
  return created
}

/** All of one table in one transaction: a first start makes dozens, and each commit waits for the disk. */
function createPartitions(
  pool: pg.Pool,
  { table }: Partitioned,
  buckets: readonly number[],
): Promise<readonly string[] | undefined> {
  return inTurn(pool, async (client) => {
    const created: string[] = []
    for (const bucket of buckets) {
      const name = partitionName(table, bucket)
      if (await exists(client, name)) continue
      // Nothing may fall into the DEFAULT partition between the move and the end: attaching would fail on it. The table
      // is locked first, as by whoever drops a partition.
      await client.query(`
        LOCK TABLE ONLY ${table} IN SHARE UPDATE EXCLUSIVE MODE;
        LOCK TABLE ${table}_default IN ACCESS EXCLUSIVE MODE;
        CREATE TABLE ${name} (LIKE ${table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) ${storageOf(table)};
        WITH moved AS (DELETE FROM ${table}_default WHERE bucket = ${bucket} RETURNING *)
          INSERT INTO ${name} SELECT * FROM moved;
        ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM (${bucket}) TO (${bucket + 1})`)
      created.push(name)
    }
    return created
  })
}

/** One transaction, while nobody else creates or drops a partition. @returns undefined, and does nothing, while a backup runs */
function inTurn<Result>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<Result>): Promise<Result | undefined> {
  return transactionOn(pool, 'BEGIN', async (client) => {
    await client.query('SELECT pg_advisory_xact_lock($1)', [maintenanceLock])
    // A backup reads every partition to its end: whoever waited for one would hold up all requests to that table. The lock is
    // looked at and not taken: it would be held a moment longer than the other, and the next in turn take us for a backup.
    const { rows } = await client.query<{ free: boolean }>(
      `SELECT NOT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database AND d.datname = current_database()
                           WHERE locktype = 'advisory' AND classid = 0 AND objid = $1 AND objsubid = 1 AND granted) AS free`,
      [dumpLock],
    )
    return rows[0]?.free ? work(client) : undefined
  })
}

/** By the rows of the catalogue: its cache, which `to_regclass` asks, may be older than the lock. */
async function exists(client: pg.PoolClient, name: string): Promise<boolean> {
  const { rowCount } = await client.query(
    'SELECT FROM pg_class WHERE relname = $1 AND relnamespace = current_schema()::regnamespace',
    [name],
  )
  return rowCount === 1
}

/**
 * Drops the partitions of which every row has expired.
 *
 * @returns the names of what was dropped
 */
export async function dropExpiredPartitions(pool: pg.Pool, horizon: Horizon, now: Date): Promise<readonly string[]> {
  const dropped: string[] = []
  for (const name of await existingPartitions(pool)) {
    const entry = partitionedTables.find(({ table }) => name.startsWith(`${table}_p`))
    const bucket = Number(name.slice((entry?.table.length ?? 0) + 2))
    if (!entry || !Number.isInteger(bucket) || bucket >= firstNeededBucket(entry, horizon, now)) continue
    if (await dropPartition(pool, name)) dropped.push(name)
  }
  return dropped
}

/**
 * Milliseconds that a drop waits for the statements that run. Every later statement on the table waits behind it, in a
 * partition of its own or not, so it gives up soon and comes again. DETACH CONCURRENTLY would not block, but PostgreSQL
 * has none where there is a DEFAULT partition.
 */
const dropPatience = 50

/** The pauses double up to this; after it the next run of the job tries again. */
const longestPause = 800

async function dropPartition(pool: pg.Pool, name: string): Promise<boolean> {
  for (let pause = 50; ; pause *= 2) {
    try {
      return await dropOnce(pool, name)
    } catch (error) {
      if (sqlState(error) !== '55P03' || pause > longestPause) throw error
    }
    await delay(pause)
  }
}

/** @returns false where somebody else has dropped it, or a backup reads it */
async function dropOnce(pool: pg.Pool, name: string): Promise<boolean> {
  const dropped = await inTurn(pool, async (client) => {
    if (!(await exists(client, name))) return false
    // Committed by the same message: a busy event loop between the two would hold up everybody else.
    await client.query(`SET LOCAL lock_timeout = ${dropPatience}; DROP TABLE ${name}; COMMIT; BEGIN`)
    return true
  })
  return dropped ?? false
}

/** What /readyz watches. */
export interface PartitionHealth {
  /** Tables without the partition that new rows go into, now or tomorrow. */
  readonly missing: readonly string[]
  /** Tables whose DEFAULT partition holds rows that should lie elsewhere. */
  readonly overflowing: readonly string[]
}

export async function checkPartitions(pool: pg.Pool, horizon: Horizon, now: Date): Promise<PartitionHealth> {
  const existing = await existingPartitions(pool)
  const tomorrow = new Date(now.getTime() + day)
  const missing = partitionedTables
    .filter((entry) => !existing.has(partitionName(entry.table, furthestBucket(entry, horizon, tomorrow))))
    .map(({ table }) => table)
  const probes = partitionedTables.map(
    ({ table }) =>
      `SELECT '${table}' AS name WHERE EXISTS (SELECT FROM ${table}_default WHERE bucket < ${permanentBucket})`,
  )
  const { rows } = await pool.query<{ name: string }>(probes.join(' UNION ALL '))
  return { missing, overflowing: rows.map(({ name }) => name) }
}

async function existingPartitions(pool: pg.Pool): Promise<ReadonlySet<string>> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
      WHERE p.relname = ANY($1) AND p.relnamespace = current_schema()::regnamespace AND c.relname NOT LIKE '%\\_default'`,
    [partitionedTables.map(({ table }) => table)],
  )
  return new Set(rows.map(({ name }) => name))
}

/** How the partitions of a table are laid out. */
export function storageOf(table: string): string {
  return `WITH (fillfactor = ${partitionedTables.find((entry) => entry.table === table)?.fillfactor ?? 100})`
}

export function partitionName(table: string, bucket: number): string {
  return `${table}_p${bucket}`
}

/** Milliseconds ahead of now at which the last rows of this table expire, or 0 where the bucket is that of the row's own time. */
function reach(entry: Partitioned, horizon: Horizon): number {
  switch (entry.table) {
    case 'authorization_grant':
    case 'refresh_token':
      // A grant with an ID token is kept as long as its session.
      return Math.max(horizon.grantLifetime, horizon.sessionLifetime) * 1000
    case 'session':
      return horizon.sessionLifetime * 1000
    default:
      // Codes, answers, access tokens, assertions of clients, interactions, revocations and status lists end within a day.
      return day
  }
}

/**
 * Milliseconds for which the partitions of before are there. What is looked up to explain a refusal may have expired just now;
 * and a clock may be wrong by a day, that of whoever writes or of whoever drops (attack 133), while the row of a window of
 * failures lies where the window began, which is the day before that.
 */
const grace = 2 * day

function firstNeededBucket(entry: Partitioned, horizon: Horizon, now: Date): number {
  const kept = entry.table === 'audit_event' ? horizon.auditRetentionDays * day : (entry.kept ?? grace)
  return entry.bucket(new Date(now.getTime() - kept))
}

/** Where the rows go that are written now and live longest. */
function furthestBucket(entry: Partitioned, horizon: Horizon, now: Date): number {
  return entry.bucket(new Date(now.getTime() + reach(entry, horizon)))
}

/** A bucket more than tomorrow needs, so that a worker that is away for a day harms nobody and `/readyz` sees none missing. */
function neededBuckets(entry: Partitioned, horizon: Horizon, now: Date): readonly number[] {
  const first = entry.bucket(new Date(now.getTime() - grace))
  const last = furthestBucket(entry, horizon, new Date(now.getTime() + day + entry.length))
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
