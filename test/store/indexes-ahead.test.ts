import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { migrate } from '../../src/cli/installation.js'
import { loadConfig } from '../../src/platform/config/index.js'
import { openDatabase } from '../../src/store/index.js'
import { applyMigrations, MigrationError, migrationsFolder, pendingMigrations } from '../../src/store/migrations.js'
import { createEmptyDatabase } from '../support/database.js'

// An index of a table with many rows takes minutes. The release before serves meanwhile, so nobody may wait for it.

const now = new Date('2026-01-02T03:04:05.678Z')
const migration = '20261129220000_logout'
const columns = '(user_id, client_id, session_id)'
const partitions = ['authorization_grant_p1', 'authorization_grant_p2', 'authorization_grant_p3'] as const

interface Scene {
  readonly url: string
  readonly connect: () => Promise<pg.Client>
  readonly client: pg.Client
  /** Whose newest migration makes an index of the grants. */
  readonly folder: string
}

/** The database of the release before: with grants in two of its partitions. */
async function openScene(t: Test): Promise<Scene> {
  const { url } = await createEmptyDatabase(t)
  const connect = async () => {
    const client = new pg.Client({ connectionString: url })
    // One that is ended by the database says so where it is used.
    client.on('error', () => undefined)
    await client.connect()
    t.teardown(() => client.end())
    return client
  }
  const client = await connect()
  const folder = await mkdtemp(join(tmpdir(), 'ostiary-indexes-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const names = [...(await pendingMigrations(client, migrationsFolder))].sort()
  const copy = (name: string) => cp(join(migrationsFolder, name), join(folder, name), { recursive: true })
  for (const name of names.slice(0, names.indexOf(migration))) await copy(name)
  await applyMigrations(client, folder, now)
  await copy(migration)
  for (const [index, name] of partitions.entries()) {
    const bounds = `FROM (${index + 1}) TO (${index + 2})`
    await client.query(`CREATE TABLE ${name} PARTITION OF authorization_grant FOR VALUES ${bounds}`)
  }
  for (const bucket of [1, 2]) for (let n = 0; n < 10; n++) await addGrant(client, bucket)
  return { url, connect, client, folder }
}

const addGrant = (client: pg.Client, bucket: number) =>
  client.query(
    `INSERT INTO authorization_grant (bucket, id, client_id, user_id, offline, auth_time, created_at, expires_at)
     VALUES ($1, gen_random_uuid(), 'c', gen_random_uuid(), false, $2, $2, $2)`,
    [bucket, now],
  )

interface FoundIndex {
  readonly partition: string
  readonly name: string
  readonly valid: boolean
  readonly attached: boolean
}

/** The indexes of the partitions by these columns. */
async function indexesOf(client: pg.Client): Promise<readonly FoundIndex[]> {
  const { rows } = await client.query<FoundIndex>(
    `SELECT indrelid::regclass::text AS partition, indexrelid::regclass::text AS name, indisvalid AS valid,
            EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid) AS attached
       FROM pg_index JOIN pg_class c ON c.oid = indrelid AND c.relispartition
      WHERE pg_get_indexdef(indexrelid) LIKE '%' || $1 ORDER BY 1, 2`,
    [columns],
  )
  return rows
}

async function isComplete(t: Test, client: pg.Client): Promise<void> {
  const found = await indexesOf(client)
  t.same(
    found.map(({ partition }) => partition),
    ['authorization_grant_default', ...partitions],
    'one for each partition, and no more',
  )
  t.ok(found.every(({ valid, attached }) => valid && attached))
  const { rows } = await client.query(
    `SELECT indisvalid FROM pg_index WHERE indexrelid = 'authorization_grant_user_id_client_id_session_id_idx'::regclass`,
  )
  t.same(rows, [{ indisvalid: true }])
}

/** Until the backend does: it is asked of the database, again and again. */
async function until(client: pg.Client, pid: number, condition: string): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query(`SELECT FROM pg_stat_activity WHERE pid = $1 AND ${condition}`, [pid])
    if (rowCount) return
  }
}

const pidOf = async (client: pg.Client): Promise<number> =>
  (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid

/** Not for any lock: whoever builds waits for a moment for those who look, too. */
const waitsFor = async (holder: pg.Client): Promise<string> => `${await pidOf(holder)} = ANY (pg_blocking_pids(pid))`

t.test('an index of all grants is built while others write them', async (t) => {
  const { connect, client, folder } = await openScene(t)
  const [writer, other] = [await connect(), await connect()]
  const pid = await pidOf(client)
  await writer.query('BEGIN')
  await addGrant(writer, 2)
  const migrating = applyMigrations(client, folder, now)
  await until(other, pid, await waitsFor(writer))
  // It waits for the one who began before, and nobody waits behind it.
  await other.query(`SET lock_timeout = '1s'`)
  for (const bucket of [1, 2, 3, 4]) await t.resolves(addGrant(other, bucket), `${bucket}`)
  await writer.query('COMMIT')
  t.same(await migrating, [migration])
  await isComplete(t, other)
})

t.test('a process that is killed while it builds: the next one goes on', async (t) => {
  const { connect, client, folder } = await openScene(t)
  const [writer, other] = [await connect(), await connect()]
  const pid = await pidOf(client)
  await writer.query('BEGIN')
  await addGrant(writer, 2)
  const migrating = applyMigrations(client, folder, now)
  await until(other, pid, await waitsFor(writer))
  const failing = t.rejects(migrating, MigrationError)
  await other.query('SELECT pg_terminate_backend($1, 10000)', [pid])
  await failing
  await writer.query('COMMIT')
  t.same(await pendingMigrations(other, folder), [migration])
  const [built, halfBuilt, ...more] = await indexesOf(other)
  t.match(built, { partition: 'authorization_grant_p1', valid: true, attached: false })
  t.match(halfBuilt, { partition: 'authorization_grant_p2', valid: false, attached: false })
  t.same(more, [])

  t.same(await applyMigrations(other, folder, now), [migration])
  await isComplete(t, other)
  t.match(await indexesOf(other), [{}, { name: built?.name }], 'what was built is not built again')
})

t.test('two processes that migrate at once do not wait for each other for ever', async (t) => {
  const { connect, client, folder } = await openScene(t)
  const [writer, second, other] = [await connect(), await connect(), await connect()]
  const [pid, secondPid] = [await pidOf(client), await pidOf(second)]
  await writer.query('BEGIN')
  await addGrant(writer, 2)
  const first = applyMigrations(client, folder, now)
  await until(other, pid, await waitsFor(writer))
  const late = applyMigrations(second, folder, now)
  await until(other, secondPid, `query LIKE '%advisory_lock%'`)
  await writer.query('COMMIT')
  t.same(await Promise.all([first, late]), [[migration], []])
  await isComplete(t, other)
})

t.test('what an operator has built before is taken as it is', async (t) => {
  const { client, folder } = await openScene(t)
  await client.query(`CREATE INDEX CONCURRENTLY made_before ON authorization_grant_p1 ${columns}`)
  await client.query(`CREATE UNIQUE INDEX of_another_kind ON authorization_grant_p2 ${columns}`)
  t.same(await applyMigrations(client, folder, now), [migration])
  await client.query('DROP INDEX of_another_kind')
  await isComplete(t, client)
  t.ok((await indexesOf(client)).some(({ name }) => name === 'made_before'))
})

t.test('`ostiary migrate` waits for a migration for longer than a request waits for the database', async (t) => {
  const { url, client } = await openScene(t)
  await client.query(`
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2.2); RETURN NEW; END';
    CREATE TRIGGER slow BEFORE INSERT ON _prisma_migrations FOR EACH ROW WHEN (NEW.migration_name = '${migration}')
      EXECUTE FUNCTION slow()`)
  const { config } = loadConfig({ env: { DATABASE_URL: url } })
  const db = openDatabase({ url, poolSize: 1, deadline: 2_000 })
  t.teardown(() => db.close())
  const applied = await migrate({ config, databaseUrl: url }, db)
  t.equal(applied[0], migration)
  t.same(await pendingMigrations(client, migrationsFolder), [])
})
