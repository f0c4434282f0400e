import pg from 'pg'
import { to } from 'pg-copy-streams'
import { type Migration, readHistory } from './migrations.js'
import { dumpLock, maintenanceLock, partitionedTables } from './partitions.js'
import { listBy, type WrappedKey, wrappedColumns } from './wrapped-keys.js'

/** A table as it is moved to another database. */
export interface MovedTable {
  readonly name: string
  readonly columns: readonly string[]
  /** What may have been spent, ended or replaced since: of no use in a database that returns to an earlier point. */
  readonly live: boolean
}

const lasting = (name: string) => ({ name, live: false })
const live = (name: string) => ({ name, live: true })

/** Every table, each behind those that its foreign keys name. */
export const movedTables: readonly { readonly name: string; readonly live: boolean }[] = [
  lasting('setting'),
  lasting('secret_key'),
  live('signing_key'),
  lasting('tier'),
  lasting('client'),
  live('registration_token'),
  live('registration_answer'),
  lasting('client_secret'),
  lasting('resource'),
  lasting('resource_scope'),
  lasting('gateway'),
  lasting('role'),
  lasting('role_holder'),
  lasting('user_account'),
  lasting('api_key'),
  lasting('api_key_end'),
  lasting('consent'),
  lasting('notice'),
  lasting('revocation'),
  lasting('failure_count'),
  lasting('client_assertion'),
  // What was delivered since a backup is delivered again, and known by its id; nobody would tell what was not.
  lasting('outbox'),
  live('session'),
  live('interaction'),
  live('authorization_grant'),
  live('authorization_code'),
  live('refresh_token'),
  live('refresh_answer'),
  live('access_token'),
  live('status_list'),
  live('status_block'),
  live('status_index'),
  lasting('audit_event'),
  lasting('usage_count'),
  lasting('usage_network'),
]

/** Tables that stay where they are, and why. */
export const leftTables: Readonly<Record<string, string>> = {
  rate_limit: 'what is left of allowances changes with every second: nobody wants that of a backup',
  rate_limit_holder: 'the processes that it names are not those of another database',
}

export const movedSequences: readonly string[] = ['revocation_position']

/** What stands before the rows: all that is needed to make the tables again. */
export interface Description {
  /** Those that the database had. */
  readonly migrations: readonly Pick<Migration, 'name' | 'checksum'>[]
  readonly tables: readonly MovedTable[]
  /** Buckets of each table. */
  readonly partitions: Readonly<Record<string, readonly number[]>>
  readonly sequences: Readonly<Record<string, string>>
  /** Whether servers were connected: then tokens were spent after it. */
  readonly served: boolean
}

/** One instant of the whole database. */
export interface Snapshot {
  readonly description: Description
  readonly wrappedKeys: () => Promise<readonly WrappedKey[]>
  /** The rows in PostgreSQL's text format. @param wrapped stands in the place of what is wrapped in the table */
  readonly rows: (table: MovedTable, wrapped?: readonly WrappedKey[]) => AsyncIterable<Buffer>
}

/** Names every value in one way, whatever the two databases are set to, and lets a long statement run. */
export const sessionOfMoving = `
  SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '30s';
  SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; SET bytea_output = 'hex'; SET client_encoding = 'UTF8';
  SET synchronize_seqscans = off`

/** Reads everything as it was at one moment, on a connection of its own, while servers go on. */
export async function withSnapshot<Result>(
  url: string,
  work: (snapshot: Snapshot) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({ connectionString: url, application_name: 'ostiary dump', keepAlive: true })
  // Whoever waits for it hears of a lost connection too.
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(sessionOfMoving)
    await client.query('SELECT pg_advisory_lock_shared($1)', [dumpLock])
    // Whoever creates or drops a partition now may have begun before: afterwards everybody sees the lock.
    await client.query('SELECT pg_advisory_lock($1)', [maintenanceLock])
    await client.query('SELECT pg_advisory_unlock($1)', [maintenanceLock])
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await client.query(`LOCK TABLE ${movedTables.map(({ name }) => name).join(', ')} IN ACCESS SHARE MODE`)
    const result = await work({
      description: await describe(client),
      wrappedKeys: () => listBy(async (text, values) => (await client.query(text, [...values])).rows),
      rows: (table, wrapped = []) => client.query(to(copyText(table, wrapped))),
    })
    await client.query('COMMIT')
    return result
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function describe(client: pg.Client): Promise<Description> {
  const columns = await client.query<{ table: string; columns: string[] }>(
    `SELECT table_name AS table, array_agg(column_name::text ORDER BY ordinal_position) AS columns
       FROM information_schema.columns
      WHERE table_schema = current_schema() AND table_name = ANY ($1) GROUP BY 1`,
    [movedTables.map(({ name }) => name)],
  )
  const columnsOf = new Map(columns.rows.map((row) => [row.table, row.columns]))
  const partitions = await client.query<{ table: string; name: string }>(
    `SELECT p.relname AS table, c.relname AS name
       FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
      WHERE p.relname = ANY ($1) AND p.relnamespace = current_schema()::regnamespace ORDER BY 1, 2`,
    [partitionedTables.map(({ table }) => table)],
  )
  const buckets: Record<string, number[]> = {}
  for (const { table, name } of partitions.rows) {
    const bucket = /_p(\d+)$/.exec(name)?.[1]
    if (bucket !== undefined) buckets[table] = [...(buckets[table] ?? []), Number(bucket)]
  }
  const sequences: Record<string, string> = {}
  for (const name of movedSequences) {
    const { rows } = await client.query<{ last_value: string }>(`SELECT last_value FROM ${name}`)
    sequences[name] = String(rows[0]?.last_value)
  }
  return {
    migrations: (await readHistory(client)).map(({ name, checksum }) => ({ name, checksum })),
    tables: movedTables.map(({ name, live }) => ({ name, live, columns: columnsOf.get(name) ?? [] })),
    partitions: buckets,
    sequences,
    served: await isServed(client),
  }
}

/** Whether a server is connected to this database: each listens for changes. */
export async function isServed(client: pg.ClientBase): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ostiary listener' LIMIT 1`,
  )
  return rowCount === 1
}

function copyText({ name, columns }: MovedTable, wrapped: readonly WrappedKey[]): string {
  const replaced = wrappedColumns.find(({ table }) => table === name)
  const values = wrapped.filter(({ kind }) => kind === replaced?.kind)
  const list = (of: (column: string) => string): string => columns.map(of).join(', ')
  if (!replaced || values.length === 0) {
    return `COPY (SELECT ${list(pg.escapeIdentifier)} FROM ${name}) TO STDOUT`
  }
  const rows = values.map(
    (key) =>
      `(${pg.escapeLiteral(key.id)}, '\\x${key.wrapped.toString('hex')}'::bytea, ${pg.escapeLiteral(key.masterKeyId)})`,
  )
  const replacedBy = (column: string): string => {
    if (column === replaced.column) return 'w.wrapped'
    return `${column === 'master_key_id' ? 'w' : 't'}.${pg.escapeIdentifier(column)}`
  }
  return `COPY (SELECT ${list(replacedBy)} FROM ${name} t
                  JOIN (VALUES ${rows.join(', ')}) w (id, wrapped, master_key_id) ON w.id = t.${replaced.id}) TO STDOUT`
}
