import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from } from 'pg-copy-streams'
import {
  type Description,
  isServed,
  leftTables,
  type MovedTable,
  movedSequences,
  movedTables,
  sessionOfMoving,
} from './dump.js'
import {
  applyWithin,
  checkHistory,
  historyOf,
  holdMigrations,
  type Migration,
  MigrationError,
  migrationsFolder,
  readMigrations,
} from './migrations.js'
import { partitionName, storageOf } from './partitions.js'
import { listBy, replaceBy, type WrappedKey } from './wrapped-keys.js'

/** The database cannot be loaded as it is. The message says why, and what can be done. */
export class LoadError extends Error {
  override readonly name = 'LoadError'
}

/** The tables as they were, without rows yet. */
export interface Loading {
  /** Rows in PostgreSQL's text format. @returns how many there were */
  readonly load: (table: MovedTable, rows: AsyncIterable<Buffer>) => Promise<number>
  /** Wraps anew what was loaded. */
  readonly rewrap: (rewrap: (key: WrappedKey) => WrappedKey) => Promise<void>
}

export interface LoadOptions {
  readonly url: string
  readonly description: Description
  /** Also where the database holds clients, users or resources: they are lost. */
  readonly replace: boolean
  readonly now: Date
  /** Where the migrations are. Default: those of this release. */
  readonly folder?: string
}

/** @throws {LoadError} where the description is of a newer release than this one, {MigrationError} where of none of ours */
export async function checkDescription({ migrations }: Description, folder = migrationsFolder): Promise<void> {
  const history = migrations.map((migration) => ({ ...migration, finished: true }))
  const { newer } = checkHistory(await readMigrations(folder), history)
  if (newer.length === 0) return
  throw new LoadError(`It is of a newer release, with ${newer.join(', ')}. Use that release, or a later one.`)
}

/**
 * Makes the tables as they were described, has them filled, and brings them to what this release needs: in one transaction,
 * so the database is as it was before, or all of it is there.
 *
 * @throws {LoadError} {MigrationError}
 */
export async function loadDatabase(options: LoadOptions, fill: (loading: Loading) => Promise<void>): Promise<void> {
  const { url, description, now, folder = migrationsFolder } = options
  await checkDescription(description, folder)
  const client = new pg.Client({ connectionString: url, application_name: 'ostiary load', keepAlive: true })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(sessionOfMoving)
    await client.query('BEGIN')
    // A server that starts waits for us here, and then finds everything done.
    await holdMigrations(client)
    const ours = await readMigrations(folder)
    await clear(client, ours, options.replace)

    const had = new Set(description.migrations.map(({ name }) => name))
    await applyWithin(
      client,
      ours.filter(({ name }) => had.has(name)),
      now,
    )
    await makePartitions(client, description)
    await fill({
      load: (table, rows) => copy(client, table, rows),
      async rewrap(rewrap) {
        const query = async (text: string, values: readonly unknown[]) => (await client.query(text, [...values])).rows
        await replaceBy(query, (await listBy(query)).map(rewrap))
      },
    })
    for (const [name, value] of Object.entries(description.sequences)) {
      await client.query('SELECT setval($1::regclass, $2)', [pg.escapeIdentifier(name), value])
    }
    await applyWithin(
      client,
      ours.filter(({ name }) => !had.has(name)),
      now,
    )
    await client.query('COMMIT')
  } finally {
    // What was not committed is undone with the connection.
    await client.end().catch(() => undefined)
  }
}

/** Takes away the tables of ours, which must be empty of what somebody set up. Others in the same schema stay. */
async function clear(client: pg.Client, ours: readonly Migration[], replace: boolean): Promise<void> {
  if (await isServed(client)) throw new LoadError('A server is connected to this database. Stop all of them first.')
  const { newer } = checkHistory(ours, await historyOf(client))
  if (newer.length > 0) throw new MigrationError(`The database is of a newer release, with ${newer.join(', ')}.`)
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class
      WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname = ANY ($1)`,
    [[...movedTables.map(({ name }) => name), ...Object.keys(leftTables), '_prisma_migrations']],
  )
  const existing = rows.map(({ name }) => name)
  for (const [name, what] of [
    ['client', 'clients'],
    ['user_account', 'users'],
    ['resource', 'resources'],
  ] as const) {
    if (replace || !existing.includes(name)) continue
    const { rowCount } = await client.query(`SELECT FROM ${name} LIMIT 1`)
    if (rowCount === 1) {
      throw new LoadError(`The database is not empty: it has ${what}. --replace deletes everything in it first.`)
    }
  }
  // Not by CASCADE: what somebody else built on our tables is not ours to take away.
  if (existing.length > 0) await client.query(`DROP TABLE ${existing.map(pg.escapeIdentifier).join(', ')}`)
  await client.query(`DROP SEQUENCE IF EXISTS ${movedSequences.join(', ')}`)
}

async function makePartitions(client: pg.Client, { partitions }: Description): Promise<void> {
  for (const [table, buckets] of Object.entries(partitions)) {
    for (const bucket of buckets) {
      await client.query(
        `CREATE TABLE ${pg.escapeIdentifier(partitionName(table, bucket))}
           PARTITION OF ${pg.escapeIdentifier(table)} FOR VALUES FROM (${Number(bucket)}) TO (${Number(bucket) + 1})
           ${storageOf(table)}`,
      )
    }
  }
}

async function copy(client: pg.Client, { name, columns }: MovedTable, rows: AsyncIterable<Buffer>): Promise<number> {
  const list = columns.map(pg.escapeIdentifier).join(', ')
  const stream = client.query(from(`COPY ${pg.escapeIdentifier(name)} (${list}) FROM STDIN`))
  await pipeline(Readable.from(rows, { objectMode: false }), stream)
  return stream.rowCount
}
