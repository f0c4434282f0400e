import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import {
  applyMigrations,
  MigrationError,
  migrationStatus,
  migrationsFolder,
  pendingMigrations,
} from '../../src/store/migrations.js'
import { createEmptyDatabase, createTestDatabase } from '../support/database.js'

const now = new Date('2026-01-02T03:04:05.678Z')

const first = { name: '20260101000000_first', sql: 'CREATE TABLE door (id int PRIMARY KEY);\n' }
const second = {
  name: '20260102000000_second',
  sql: 'ALTER TABLE door ADD COLUMN open boolean;\nINSERT INTO door VALUES (1, true);\n',
}

interface Migration {
  readonly name: string
  readonly sql: string
}

async function write(folder: string, { name, sql }: Migration): Promise<void> {
  await mkdir(join(folder, name), { recursive: true })
  await writeFile(join(folder, name, 'migration.sql'), sql)
}

async function folderWith(t: Test, ...migrations: readonly Migration[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ostiary-migrations-'))
  t.teardown(() => rm(folder, { recursive: true }))
  // As Prisma keeps it beside the migrations.
  await writeFile(join(folder, 'migration_lock.toml'), 'provider = "postgresql"\n')
  for (const migration of migrations) await write(folder, migration)
  return folder
}

async function connect(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

async function emptyDatabase(t: Test): Promise<pg.Client> {
  const { url } = await createEmptyDatabase(t)
  return connect(t, url)
}

async function count(client: pg.Client, table: string): Promise<number> {
  const { rows } = await client.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`)
  return rows[0]!.count
}

t.test('migrations are applied in the order of their names, each once', async (t) => {
  const client = await emptyDatabase(t)
  const folder = await folderWith(t, second, first)

  t.same(await pendingMigrations(client, folder), [first.name, second.name])
  t.same(await applyMigrations(client, folder, now), [first.name, second.name])
  t.same(await applyMigrations(client, folder, now), [])
  t.same(await pendingMigrations(client, folder), [])
  t.equal(await count(client, 'door'), 1)
})

t.test('API keys of before the ends of many lie before each of them, and later ones take their place', async (t) => {
  const client = await emptyDatabase(t)
  const folder = await mkdtemp(join(tmpdir(), 'ostiary-migrations-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const all = (await pendingMigrations(client, migrationsFolder)).toSorted()
  const before = all.slice(0, all.indexOf('20261129190000_api_key_ends'))
  for (const name of before) await cp(join(migrationsFolder, name), join(folder, name), { recursive: true })
  t.same(await applyMigrations(client, folder, now), before)
  const make = (id: string) =>
    client.query(
      `INSERT INTO api_key (id, prefix, environment, kind, owner_kind, owner, name, created_at, updated_at)
       VALUES ($1, 'sk', 'live', 'secret', 'client', 'c', 'x', $2, $2)`,
      [id, now],
    )
  await make('old')
  await applyMigrations(client, migrationsFolder, now)
  await make('new')
  const { rows } = await client.query(
    `SELECT id, position = 0 AS first, position < nextval('revocation_position') AS before FROM api_key ORDER BY id`,
  )
  t.same(rows, [
    { id: 'new', first: false, before: true },
    { id: 'old', first: true, before: true },
  ])
})

t.test('successors of before know the first key of their chain', async (t) => {
  const client = await emptyDatabase(t)
  const folder = await mkdtemp(join(tmpdir(), 'ostiary-migrations-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const all = (await pendingMigrations(client, migrationsFolder)).toSorted()
  const before = all.slice(0, all.indexOf('20261130210000_api_key_chains'))
  for (const name of before) await cp(join(migrationsFolder, name), join(folder, name), { recursive: true })
  await applyMigrations(client, folder, now)
  for (const [id, successor] of [
    ['a', 'b'],
    ['b', 'c'],
    ['c', null],
    ['d', null],
    ['e', 'f'],
    ['f', null],
  ]) {
    await client.query(
      `INSERT INTO api_key (id, prefix, environment, kind, owner_kind, owner, name, successor, created_at, updated_at)
       VALUES ($1, 'sk', 'live', 'secret', 'client', 'c', 'x', $3, $2, $2)`,
      [id, now, successor],
    )
  }
  await applyMigrations(client, migrationsFolder, now)
  const { rows } = await client.query('SELECT id, chain FROM api_key ORDER BY id')
  t.same(rows, [
    { id: 'a', chain: null },
    { id: 'b', chain: 'a' },
    { id: 'c', chain: 'a' },
    { id: 'd', chain: null },
    { id: 'e', chain: null },
    { id: 'f', chain: 'e' },
  ])
})

t.test('keys of before that a client did not make itself are an administrator’s', async (t) => {
  const client = await emptyDatabase(t)
  const folder = await mkdtemp(join(tmpdir(), 'ostiary-migrations-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const all = (await pendingMigrations(client, migrationsFolder)).toSorted()
  const before = all.slice(0, all.indexOf('20261130211000_api_key_managed'))
  for (const name of before) await cp(join(migrationsFolder, name), join(folder, name), { recursive: true })
  await applyMigrations(client, folder, now)
  for (const [id, kind, owner, through] of [
    ['by command', 'client', 'c', null],
    ['by itself', 'client', 'c', 'c'],
    ['by the portal', 'client', 'c', 'portal'],
    ['of a user', 'user', 'u', null],
  ]) {
    await client.query(
      `INSERT INTO api_key (id, prefix, environment, kind, owner_kind, owner, name, created_by_client, created_at, updated_at)
       VALUES ($1, 'sk', 'live', 'secret', $3, $4, 'x', $5, $2, $2)`,
      [id, now, kind, owner, through],
    )
  }
  await applyMigrations(client, migrationsFolder, now)
  const { rows } = await client.query('SELECT id, managed FROM api_key ORDER BY id')
  t.same(rows, [
    { id: 'by command', managed: true },
    { id: 'by itself', managed: null },
    { id: 'by the portal', managed: true },
    { id: 'of a user', managed: null },
  ])
})

t.test('tiers of API keys that there are not are taken away, and none can be given from then on', async (t) => {
  const client = await emptyDatabase(t)
  const folder = await mkdtemp(join(tmpdir(), 'ostiary-migrations-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const all = (await pendingMigrations(client, migrationsFolder)).toSorted()
  const before = all.slice(0, all.indexOf('20261130200000_api_key_tiers'))
  for (const name of before) await cp(join(migrationsFolder, name), join(folder, name), { recursive: true })
  await applyMigrations(client, folder, now)
  await client.query(`INSERT INTO tier VALUES ('gold', 1, 1, 1, $1, $1)`, [now])
  const make = (id: string, tier?: string) =>
    client.query(
      `INSERT INTO api_key (id, prefix, environment, kind, owner_kind, owner, name, tier, created_at, updated_at)
       VALUES ($1, 'sk', 'live', 'secret', 'client', 'c', 'x', $3, $2, $2)`,
      [id, now, tier ?? null],
    )
  await make('with', 'gold')
  await make('dangling', 'nosuch')
  await make('without')
  await applyMigrations(client, migrationsFolder, now)
  const { rows } = await client.query('SELECT id, tier FROM api_key ORDER BY id')
  t.same(rows, [
    { id: 'dangling', tier: null },
    { id: 'with', tier: 'gold' },
    { id: 'without', tier: null },
  ])
  const constraint = await client.query(`SELECT convalidated FROM pg_constraint WHERE conname = 'api_key_tier_fkey'`)
  t.same(constraint.rows, [{ convalidated: true }])
  await t.rejects(make('new', 'nosuch'), { code: '23503' })
  // RESTRICT has a code of its own since PostgreSQL 18.
  await t.rejects(client.query(`DELETE FROM tier WHERE name = 'gold'`), { code: /^23(503|001)$/ })
})

t.test('resources of before go on taking passwords, and new ones take none, also of the release before', async (t) => {
  const client = await emptyDatabase(t)
  const folder = await mkdtemp(join(tmpdir(), 'ostiary-migrations-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const all = (await pendingMigrations(client, migrationsFolder)).toSorted()
  const before = all.slice(0, all.indexOf('20261130210000_resource_basic'))
  for (const name of before) await cp(join(migrationsFolder, name), join(folder, name), { recursive: true })
  t.same(await applyMigrations(client, folder, now), before)
  // As the release before writes it.
  const make = async (name: string) => {
    await client.query(
      `INSERT INTO client (client_id, token_endpoint_auth_method, application_type, require_pkce, first_party,
                           refresh_token_rotation, refresh_token_retry_window, created_at, updated_at)
       VALUES ($1, 'client_secret_basic', 'web', true, false, true, 10, $2, $2)`,
      [name, now],
    )
    await client.query(
      `INSERT INTO resource (identifier, token_format, claims, uses_roles, client_id, created_at, updated_at)
       VALUES ($1, 'jwt', '{}', false, $1, $2, $2)`,
      [name, now],
    )
  }
  await make('old')
  await applyMigrations(client, migrationsFolder, now)
  await make('new')
  await client.query(`UPDATE resource SET token_format = 'opaque', updated_at = $1`, [now])
  const { rows } = await client.query('SELECT identifier, accepts_basic FROM resource ORDER BY identifier')
  t.same(rows, [
    { identifier: 'new', accepts_basic: false },
    { identifier: 'old', accepts_basic: true },
  ])
})

t.test('the record is what `prisma migrate status` expects: the SHA-256 of the file, finished, one step', async (t) => {
  const client = await emptyDatabase(t)
  await applyMigrations(client, await folderWith(t, first), now)

  const { rows } = await client.query('SELECT * FROM _prisma_migrations')
  t.match(rows, [
    {
      id: /^[0-9a-f-]{36}$/,
      checksum: 'ec6d0864a83d89624ea71950f5527da2318b285b023c9bdc14482f17e8a3518d',
      migration_name: first.name,
      started_at: now,
      finished_at: now,
      rolled_back_at: null,
      logs: null,
      applied_steps_count: 1,
    },
  ])
})

t.test('a new migration is applied over those that are there', async (t) => {
  const client = await emptyDatabase(t)
  const folder = await folderWith(t, first)
  await applyMigrations(client, folder, now)
  await write(folder, second)

  t.same(await pendingMigrations(client, folder), [second.name])
  t.same(await applyMigrations(client, folder, now), [second.name])
})

t.test('eight processes that start together apply each migration once', async (t) => {
  const { url } = await createEmptyDatabase(t)
  const folder = await folderWith(t, first, second)
  const clients = await Promise.all(Array.from({ length: 8 }, () => connect(t, url)))

  const applied = await Promise.all(clients.map((client) => applyMigrations(client, folder, now)))

  t.same(applied.flat(), [first.name, second.name])
  t.equal(await count(clients[0]!, 'door'), 1)
})

t.test('a migration that fails leaves nothing, and those before it stay', async (t) => {
  const client = await emptyDatabase(t)
  const broken = { name: second.name, sql: 'INSERT INTO door VALUES (1);\nINSERT INTO window VALUES (1);\n' }
  const folder = await folderWith(t, first, broken)

  await t.rejects(applyMigrations(client, folder, now), MigrationError)
  t.equal(await count(client, 'door'), 0)
  t.same(await pendingMigrations(client, folder), [second.name])

  await write(folder, second)
  t.same(await applyMigrations(client, folder, now), [second.name])
})

t.test('a migration that was changed after it was applied is refused', async (t) => {
  const client = await emptyDatabase(t)
  const folder = await folderWith(t, first)
  await applyMigrations(client, folder, now)
  await write(folder, { ...first, sql: 'CREATE TABLE door (id bigint PRIMARY KEY);\n' })
  await write(folder, second)

  await t.rejects(applyMigrations(client, folder, now), { name: 'MigrationError', message: /20260101000000_first/ })
  await t.rejects(migrationStatus(client, folder), MigrationError)
  t.equal(await count(client, '_prisma_migrations'), 1)
})

t.test('line ends of Windows are the same migration', async (t) => {
  const client = await emptyDatabase(t)
  const folder = await folderWith(t, second, first)
  await applyMigrations(client, folder, now)
  await write(folder, { ...second, sql: second.sql.replaceAll('\n', '\r\n') })

  t.same(await applyMigrations(client, folder, now), [])
})

t.test('a newer release may have been here: its migrations are told, not refused', async (t) => {
  const client = await emptyDatabase(t)
  await applyMigrations(client, await folderWith(t, first, second), now)
  const older = await folderWith(t, first)

  t.same(await applyMigrations(client, older, now), [])
  t.same(await migrationStatus(client, older), {
    applied: [first.name, second.name],
    pending: [],
    newer: [second.name],
  })
})

t.test('a database with another history is refused', async (t) => {
  const client = await emptyDatabase(t)
  const foreign = { ...first, name: '20260101000001_foreign' }
  await applyMigrations(client, await folderWith(t, foreign), now)

  await t.rejects(applyMigrations(client, await folderWith(t, second), now), { message: /_foreign/ })
  await t.rejects(applyMigrations(client, await folderWith(t, first, foreign), now), { message: /_first/ })
})

t.test('a migration that another tool has not ended is refused', async (t) => {
  const client = await emptyDatabase(t)
  const folder = await folderWith(t, first)
  await applyMigrations(client, folder, now)
  await client.query('UPDATE _prisma_migrations SET finished_at = NULL')

  await t.rejects(applyMigrations(client, folder, now), { message: /migrate resolve/ })

  await client.query('UPDATE _prisma_migrations SET rolled_back_at = started_at')
  await client.query('DROP TABLE door')
  t.same(await applyMigrations(client, folder, now), [first.name])
})

t.test("the connection's own timeouts do not end a migration, and come back after it", async (t) => {
  const client = await emptyDatabase(t)
  await client.query('SET statement_timeout = 50')
  const slow = { name: first.name, sql: 'SELECT pg_sleep(0.1);\n' }

  t.same(await applyMigrations(client, await folderWith(t, slow), now), [first.name])
  t.match(await client.query('SHOW statement_timeout'), { rows: [{ statement_timeout: '50ms' }] })
})

t.test('the migrations of this release bring an empty database to what the tests use', async (t) => {
  const client = await emptyDatabase(t)
  const applied = await applyMigrations(client, migrationsFolder, now)
  const migrated = await connect(t, (await createTestDatabase(t)).url)

  t.not(applied.length, 0)
  t.same(await pendingMigrations(migrated, migrationsFolder), [])
  for (const name of applied) t.ok(await readFile(join(migrationsFolder, name, 'migration.sql'), 'utf8'))
  const tables = `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY relname`
  t.same((await client.query(tables)).rows, (await migrated.query(tables)).rows)
})
