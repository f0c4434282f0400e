import { createHash, randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { openEmbeddedPostgres } from '../../src/platform/embedded-postgres/index.js'
import { applyMigrations, migrationsFolder, readMigrations } from '../../src/store/migrations.js'

/** A PostgreSQL that test files share, each with databases of its own. */
export interface TestPostgres {
  /** Of a database to connect to when another is created. Its user may create databases. */
  readonly url: string
  /** The name of a migrated database that nobody connects to. */
  readonly template: string
}

/** What tests write need not outlive a power cut. Everything else is as in production. */
const settings = {
  fsync: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  max_connections: '300',
  shared_buffers: '128MB',
  max_wal_size: '1GB',
}

const silent = { info: () => undefined, warn: () => undefined, error: console.error }

/** Starts one in the folder, or shares the one that runs there. */
export async function openTestPostgres(
  dataDir: string,
): Promise<TestPostgres & { readonly stop: () => Promise<void> }> {
  const postgres = await openEmbeddedPostgres({ dataDir, log: silent, holder: 'test', settings })
  const administrator = new URL(postgres.url)
  administrator.username = 'postgres'
  administrator.pathname = '/postgres'
  // Tests connect as the server does, by a user who owns the database and may do nothing else, except create others.
  await withClient(administrator.href, (client) => client.query('ALTER ROLE ostiary CREATEDB'))
  if (postgres.startedHere) await withClient(postgres.url, dropLeftovers)
  return { url: postgres.url, template: await ensureTemplate(postgres.url), stop: postgres.stop }
}

/** Databases of tests that were killed, and templates of other migrations. */
async function dropLeftovers(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT datname AS name FROM pg_database WHERE datname LIKE 'ostiary\\_t%'`,
  )
  const current = await templateName()
  for (const { name } of rows) {
    const pid = Number(new RegExp(`^${databasePrefix}(\\d+)_`).exec(name)?.[1])
    if (pid ? !isAlive(pid) : name !== current) await client.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Named by the migrations, so that a changed one makes another. */
async function templateName(): Promise<string> {
  const migrations = await readMigrations(migrationsFolder)
  const hash = createHash('sha256').update(migrations.map(({ name, checksum }) => `${name}:${checksum}`).join())
  return `ostiary_template_${hash.digest('hex').slice(0, 16)}`
}

/** Creates the template of these migrations unless it is there. */
export async function ensureTemplate(url: string): Promise<string> {
  const template = await templateName()
  await withClient(url, async (client) => {
    // Test files that start together wait for the one that makes it.
    await client.query('SELECT pg_advisory_lock(72707370)')
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [template])
    if (rowCount) return
    // Under another name until it is complete.
    const unfinished = `ostiary_template_${randomBytes(8).toString('hex')}_new`
    await client.query(`CREATE DATABASE ${unfinished} TEMPLATE template0`)
    const database = new URL(url)
    database.pathname = `/${unfinished}`
    await withClient(database.href, (migrated) => applyMigrations(migrated, migrationsFolder, new Date()))
    await client.query(`ALTER DATABASE ${unfinished} RENAME TO ${template}`)
  })
  return template
}

/** Names of databases that `createTestDatabase` makes begin with this. */
export const databasePrefix = 'ostiary_test_'

/**
 * The PostgreSQL of this run: the one that `npm test` has started, the one of `TEST_DATABASE_URL`, or, where a test file
 * is run by itself, one in `node_modules/.cache`, which stops with the last process that uses it.
 */
export function testPostgres(): Promise<TestPostgres> {
  shared ??= open()
  return shared
}

let shared: Promise<TestPostgres> | undefined

async function open(): Promise<TestPostgres> {
  const { OSTIARY_TEST_SERVER: url, OSTIARY_TEST_TEMPLATE: template, TEST_DATABASE_URL: other } = process.env
  if (url && template) return { url, template }
  if (other) return { url: other, template: await ensureTemplate(other) }
  return openTestPostgres(fileURLToPath(new URL('../../node_modules/.cache/ostiary', import.meta.url)))
}

export async function withClient<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
