import t from 'tap'
import { givenMasterKeys, masterKey } from '../../src/platform/crypto/master-key.js'
import { openSecretKeys } from '../../src/secrets/index.js'
import { withSnapshot } from '../../src/store/dump.js'
import { partitions } from '../../src/store/index.js'
import { addClient, addUser, openTestStore } from '../support/store.js'

const day = 86_400
const horizon = { grantLifetime: 30 * day, sessionLifetime: 7 * day, auditRetentionDays: 90 }

async function linesOf(rows: AsyncIterable<Buffer>): Promise<readonly string[]> {
  let text = ''
  for await (const chunk of rows) text += chunk.toString()
  return text.split('\n').slice(0, -1)
}

t.test('a snapshot is of one moment, while others write', async (t) => {
  const store = await openTestStore(t)
  const before = await addUser(store)
  await withSnapshot(store.url, async (snapshot) => {
    const table = (name: string) => snapshot.description.tables.find((each) => each.name === name)!
    t.same(await linesOf(snapshot.rows(table('client'))), [])
    const { clientId } = await addClient(store)
    await addUser(store)
    t.equal((await store.sql('SELECT FROM client WHERE client_id = $1', [clientId])).length, 1, 'it was written')
    t.same(await linesOf(snapshot.rows(table('client'))), [])
    const users = await linesOf(snapshot.rows(table('user_account')))
    t.equal(users.length, 1)
    t.ok(users[0]?.startsWith(before.id))
  })
})

t.test('while it reads, no partition is made or dropped, and nobody waits for that', async (t) => {
  const store = await openTestStore(t)
  const { pool } = store.db
  await partitions.ensurePartitions(pool, horizon, store.now())
  store.clock.advance(20 * day)
  await withSnapshot(store.url, async () => {
    t.same(await partitions.ensurePartitions(pool, horizon, store.now()), [])
    t.same(await partitions.dropExpiredPartitions(pool, horizon, store.now()), [])
    await addClient(store)
  })
  t.not((await partitions.ensurePartitions(pool, horizon, store.now())).length, 0)
  t.not((await partitions.dropExpiredPartitions(pool, horizon, store.now())).length, 0)
})

t.test('wrapped keys are given in another wrapping, and nothing else of their rows changes', async (t) => {
  const { db, clock, random, url } = await openTestStore(t)
  const { current } = await openSecretKeys({
    db,
    clock,
    random,
    masterKeys: givenMasterKeys(masterKey(random.bytes(32))),
  })
  await withSnapshot(url, async (snapshot) => {
    const table = snapshot.description.tables.find(({ name }) => name === 'secret_key')!
    const [key] = await snapshot.wrappedKeys()
    const other = { ...key!, wrapped: Buffer.from([0, 10, 92, 255]), masterKeyId: `quote ' and \\` }
    const [as, replaced] = [await linesOf(snapshot.rows(table)), await linesOf(snapshot.rows(table, [other]))]
    t.equal(replaced.length, 1)
    const [before, after] = [as[0]!.split('\t'), replaced[0]!.split('\t')]
    t.equal(before[0], current.id)
    t.same(
      after.map((value, index) => (value === before[index] ? 'same' : value)),
      ['same', 'same', '\\\\x000a5cff', `quote ' and \\\\`, 'same', 'same'],
    )
  })
})
