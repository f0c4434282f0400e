import { randomBytes } from 'node:crypto'
import { databasePrefix, testPostgres, withClient } from './test-postgres.js'

/** What this needs of a tap test. */
interface Test {
  teardown(work: () => Promise<void>): unknown
}

export interface TestDatabase {
  readonly url: string
}

/** A migrated, empty database for one test, dropped with it. */
export async function createTestDatabase(t: Test): Promise<TestDatabase> {
  const { url, template } = await testPostgres()
  return create(t, url, template)
}

/** A database without any table, for tests of the migrations. */
export async function createEmptyDatabase(t: Test): Promise<TestDatabase> {
  const { url } = await testPostgres()
  return create(t, url, 'template0')
}

async function create(t: Test, url: string, template: string): Promise<TestDatabase> {
  const name = `${databasePrefix}${process.pid}_${randomBytes(6).toString('hex')}`
  await withClient(url, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`))
  // By force: what a test leaves open must not keep its database.
  t.teardown(async () => {
    await withClient(url, (client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  })
  const database = new URL(url)
  database.pathname = `/${name}`
  return { url: database.href }
}
