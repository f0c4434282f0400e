import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { withSnapshot } from '../../src/store/dump.js'
import { loadDatabase } from '../../src/store/load.js'
import { migrationStatus, migrationsFolder } from '../../src/store/migrations.js'
import { createEmptyDatabase } from '../support/database.js'
import { addClient, openTestStore } from '../support/store.js'
import { withClient } from '../support/test-postgres.js'

/** The migrations of a release that comes after this one. */
function laterRelease(t: Test, sql: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'ostiary-migrations-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(migrationsFolder, folder, { recursive: true })
  mkdirSync(join(folder, '29990101000000_later'))
  writeFileSync(join(folder, '29990101000000_later', 'migration.sql'), sql)
  return folder
}

t.test('what an older release wrote is loaded at its schema, and then brought up to date', async (t) => {
  const store = await openTestStore(t)
  const { clientId } = await addClient(store)
  const later = laterRelease(
    t,
    `ALTER TABLE client ADD COLUMN later TEXT; UPDATE client SET later = 'of ' || client_id; CREATE TABLE new (a INT)`,
  )
  const { url } = await createEmptyDatabase(t)
  await withSnapshot(store.url, (snapshot) =>
    loadDatabase(
      { url, description: snapshot.description, replace: false, now: store.now(), folder: later },
      async (loading) => {
        for (const table of snapshot.description.tables) await loading.load(table, snapshot.rows(table))
      },
    ),
  )
  await withClient(url, async (client) => {
    const { rows } = await client.query('SELECT client_id, later FROM client')
    t.same(rows, [{ client_id: clientId, later: `of ${clientId}` }])
    t.same((await migrationStatus(client, later)).pending, [])
  })
})

t.test('a migration that fails leaves nothing of it', async (t) => {
  const store = await openTestStore(t)
  const { url } = await createEmptyDatabase(t)
  const broken = laterRelease(t, 'SELECT 1 / 0')
  const loading = withSnapshot(store.url, ({ description }) =>
    loadDatabase({ url, description, replace: false, now: store.now(), folder: broken }, async () => undefined),
  )
  await t.rejects(loading, /division by zero/)
  await withClient(url, async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_tables WHERE schemaname = current_schema()')
    t.equal(rowCount, 0)
  })
})
