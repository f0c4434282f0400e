import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { buildIndexesAhead } from './indexes-ahead.js'

/** The migrations of this release. The path is the same from `src` and from `dist`. */
export const migrationsFolder = fileURLToPath(new URL('../../prisma/migrations', import.meta.url))

export interface Migration {
  /** The name of its folder. The names sort in the order of application. */
  readonly name: string
  readonly sql: string
  /** SHA-256 of the file with LF line ends, in hexadecimal. */
  readonly checksum: string
}

export interface MigrationStatus {
  readonly applied: readonly string[]
  readonly pending: readonly string[]
  /**
   * Applied, and later than any of ours: a newer release was here. Not an error, since a migration must suit the
   * release before it (a rolling upgrade, or a return to the old one), but worth a warning.
   */
  readonly newer: readonly string[]
}

/** The database cannot be brought to what this release needs. The message says why, and what can be done. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

/** Prisma's own key, so that `prisma migrate deploy` and a starting server wait for each other. */
const lockKey = 72_707_369

/** Milliseconds until whoever waits for the lock asks again. */
const lockPause = 100

/** As Prisma creates it, so that `prisma migrate status` reads it. */
const createTable = `
  CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                  VARCHAR(36) PRIMARY KEY NOT NULL,
    "checksum"            VARCHAR(64) NOT NULL,
    "finished_at"         TIMESTAMPTZ,
    "migration_name"      VARCHAR(255) NOT NULL,
    "logs"                TEXT,
    "rolled_back_at"      TIMESTAMPTZ,
    "started_at"          TIMESTAMPTZ NOT NULL DEFAULT now(),
    "applied_steps_count" INTEGER NOT NULL DEFAULT 0
  )`

/** Reads a folder as Prisma writes it, in the order of application. */
export async function readMigrations(folder: string): Promise<readonly Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return Promise.all(
    names.sort().map(async (name) => {
      const sql = (await readFile(join(folder, name, 'migration.sql'), 'utf8')).replaceAll('\r\n', '\n')
      return { name, sql, checksum: sha256(sql) }
    }),
  )
}

/**
 * Brings the database to what this release needs: one transaction for each migration, under a lock that lets one
 * process at a time do it. Whoever waited for the lock finds nothing left to do.
 *
 * @returns the names of those that were applied now, in order
 * @throws {MigrationError} when the history of the database is not the beginning of ours, or when a migration fails
 */
export async function applyMigrations(
  client: pg.Client | pg.PoolClient,
  folder: string,
  now: Date,
): Promise<readonly string[]> {
  const ours = await readMigrations(folder)
  return withoutTimeouts(client, async () => {
    await takeLock(client)
    try {
      await client.query(createTable)
      const { pending } = checkHistory(ours, await readHistory(client))
      const todo = ours.filter(({ name }) => pending.includes(name))
      for (const migration of todo) {
        await prepare(client, migration)
        await apply(client, migration, now)
      }
      return todo.map(({ name }) => name)
    } finally {
      // A connection that broke has lost its lock with its session; the first error is the one to hear about.
      await client.query('SELECT pg_advisory_unlock($1)', [lockKey]).catch(() => undefined)
    }
  })
}

/**
 * Brings the database at this address to what this release needs, on a connection of its own: before a server opens its
 * pool. Where all is there, which is so at nearly every start, nothing is locked or changed.
 *
 * @throws what `applyMigrations` throws, and what connecting throws
 */
export async function migrateDatabase(url: string, now: Date): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: url, keepAlive: true })
  await client.connect()
  try {
    if (await isUpToDate(client)) return []
    return await applyMigrations(client, migrationsFolder, now)
  } finally {
    await client.end()
  }
}

/** By one question. What is unfinished, unknown or in doubt is looked at again under the lock, by `applyMigrations`. */
async function isUpToDate(client: pg.Client): Promise<boolean> {
  try {
    const [ours, history] = await Promise.all([readMigrations(migrationsFolder), readHistory(client)])
    return checkHistory(ours, history).pending.length === 0
  } catch {
    return false
  }
}

/**
 * What `applyMigrations` would find, without changing or locking anything.
 *
 * @throws {MigrationError} when the history of the database is not the beginning of ours
 */
export async function migrationStatus(client: pg.ClientBase | pg.Pool, folder: string): Promise<MigrationStatus> {
  return checkHistory(await readMigrations(folder), await historyOf(client))
}

/** What is recorded as applied; nothing where there is no record yet. */
export async function historyOf(client: pg.ClientBase | pg.Pool): Promise<readonly HistoryRow[]> {
  const { rows } = await client.query<{ exists: boolean }>(
    `SELECT to_regclass('"_prisma_migrations"') IS NOT NULL AS exists`,
  )
  return rows[0]?.exists ? readHistory(client) : []
}

/** Whoever migrates waits to the end of the transaction that is open. */
export async function holdMigrations(client: pg.ClientBase): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock($1)', [lockKey])
}

/** Applies and records them inside the transaction that is open, with everything else or not at all. */
export async function applyWithin(client: pg.ClientBase, migrations: readonly Migration[], now: Date): Promise<void> {
  await client.query(createTable)
  for (const migration of migrations) await run(client, migration, now)
}

/** The names of the migrations that this database still lacks. @throws {MigrationError} as `migrationStatus` does */
export async function pendingMigrations(client: pg.ClientBase | pg.Pool, folder: string): Promise<readonly string[]> {
  return (await migrationStatus(client, folder)).pending
}

export interface HistoryRow {
  readonly name: string
  readonly checksum: string
  readonly finished: boolean
}

export async function readHistory(client: pg.ClientBase | pg.Pool): Promise<readonly HistoryRow[]> {
  const { rows } = await client.query<HistoryRow>(`
    SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished
      FROM "_prisma_migrations"
     WHERE rolled_back_at IS NULL
     ORDER BY migration_name COLLATE "C"`)
  return rows
}

/** Whether a history is the beginning of ours, and how far it goes. @throws {MigrationError} */
export function checkHistory(ours: readonly Migration[], history: readonly HistoryRow[]): MigrationStatus {
  const unfinished = history.find(({ finished }) => !finished)
  if (unfinished) {
    throw new MigrationError(
      `The migration ${unfinished.name} was begun by another tool and has not ended. Where none is running any more, ` +
        'repair what it left and settle it with `prisma migrate resolve`.',
    )
  }
  const byName = new Map(ours.map((migration) => [migration.name, migration]))
  const latest = ours.at(-1)?.name ?? ''
  const unknown = history.filter(({ name }) => !byName.has(name)).map(({ name }) => name)
  const foreign = unknown.find((name) => name < latest)
  if (foreign) {
    throw new MigrationError(
      `The database has a migration that this release does not know, ${foreign}, between ones that it does know. It is ` +
        'not a database of this Ostiary; nothing was changed.',
    )
  }
  for (const { name, checksum } of history) {
    const migration = byName.get(name)
    if (migration && !checksums(migration).includes(checksum)) {
      throw new MigrationError(
        `The migration ${name} was applied to the database in another form than the one in this release. An applied ` +
          'migration must never change; restore its file, or restore the database it belongs to.',
      )
    }
  }
  const applied = history.map(({ name }) => name)
  const pending = ours.map(({ name }) => name).filter((name) => !applied.includes(name))
  const overtaken = pending.find((name) => applied.some((other) => name < other))
  if (overtaken) {
    throw new MigrationError(
      `The database lacks the migration ${overtaken} but has later ones. Migrations are applied in the order of their ` +
        'names; nothing was changed.',
    )
  }
  return { applied, pending, newer: unknown }
}

/**
 * Asked for again and again, and not waited for: an index that is built CONCURRENTLY waits for every statement that has begun
 * before, and so would for whoever waits for its migration.
 */
async function takeLock(client: pg.ClientBase): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [lockKey])
    if (rows[0]?.taken) return
    await delay(lockPause)
  }
}

/** What may take long, before the transaction that everybody waits for. */
async function prepare(client: pg.ClientBase, { name, sql }: Migration): Promise<void> {
  try {
    await buildIndexesAhead(client, sql)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new MigrationError(
      `An index for the migration ${name} could not be built, and nothing else was changed: ${message}`,
      { cause: error },
    )
  }
}

/** The file and its record, or neither. */
async function apply(client: pg.ClientBase, migration: Migration, now: Date): Promise<void> {
  try {
    await client.query('BEGIN')
    // A change that waits for a table makes everybody else wait behind it: better to fail, and be started again.
    await client.query(`SET LOCAL lock_timeout = '10s'`)
    await run(client, migration, now)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    const message = error instanceof Error ? error.message : String(error)
    throw new MigrationError(`The migration ${migration.name} failed and was undone: ${message}`, { cause: error })
  }
}

async function run(client: pg.ClientBase, migration: Migration, now: Date): Promise<void> {
  await client.query(migration.sql)
  await client.query(
    `INSERT INTO "_prisma_migrations" (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
     VALUES (gen_random_uuid()::text, $1, $2, $3, $3, 1)`,
    [migration.checksum, migration.name, now],
  )
}

/** The pool's connections have short timeouts, made for requests; a migration of a large table may take longer. */
async function withoutTimeouts<Result>(client: pg.ClientBase, work: () => Promise<Result>): Promise<Result> {
  const names = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']
  const { rows } = await client.query<{ name: string; value: string }>(
    'SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name',
    [names],
  )
  const set = 'SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)'
  await client.query(set, [names, names.map(() => '0')])
  try {
    return await work()
  } finally {
    await client.query(set, [rows.map(({ name }) => name), rows.map(({ value }) => value)]).catch(() => undefined)
  }
}

/** What Prisma may have recorded: it takes the bytes of the file, whose line ends differ on Windows. */
function checksums(migration: Migration): readonly string[] {
  return [migration.checksum, sha256(migration.sql.replaceAll('\n', '\r\n'))]
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
