import t, { type Test } from 'tap'
import type { Context } from '../../src/context.js'
import { maintainPartitions } from '../../src/jobs/index.js'
import { loadConfig } from '../../src/platform/config/index.js'
import { type Horizon, isDatabaseAway, partitions, weekBucket } from '../../src/store/index.js'
import { partitionedTables } from '../../src/store/partitions.js'
import { addClient, addParty, addRefreshToken, openTestStore, type TestStore } from '../support/store.js'

const day = 86_400
const horizon: Horizon = { grantLifetime: 30 * day, sessionLifetime: 7 * day, auditRetentionDays: 90 }
const healthy = { missing: [], overflowing: [] }

const names = async (store: TestStore) =>
  (
    await store.sql(
      `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhrelid::regclass::text !~ '_default$'
                        AND inhparent = ANY ($1::regclass[]) ORDER BY 1`,
      [partitionedTables.map(({ table }) => table)],
    )
  ).map(({ name }) => name as string)

/** A database with what a first start creates. */
async function openMaintained(t: Test): Promise<TestStore> {
  const store = await openTestStore(t)
  await partitions.ensurePartitions(store.db.pool, horizon, store.now())
  return store
}

const check = (store: TestStore, over = horizon) => partitions.checkPartitions(store.db.pool, over, store.now())

t.test('a first start creates what new rows need now, tomorrow, and a day longer', async (t) => {
  const store = await openTestStore(t)
  t.same(
    (await check(store)).missing,
    partitionedTables.map(({ table }) => table),
    'nothing is there',
  )

  const created = await partitions.ensurePartitions(store.db.pool, horizon, store.now())

  t.same([...created].sort(), (await names(store)).sort())
  t.same(await check(store), healthy)
  t.same(await partitions.ensurePartitions(store.db.pool, horizon, store.now()), [], 'a second run finds it done')
  const furthest = weekBucket(store.later(30 * day))
  for (const table of ['authorization_grant', 'refresh_token']) t.ok(created.includes(`${table}_p${furthest}`), table)

  await addRefreshToken(store, await addParty(store))
  for (const { table } of partitionedTables) {
    t.equal((await store.sql(`SELECT FROM ${table}_default`)).length, 0, `no row of ${table} falls outside`)
  }
})

t.test('/readyz stays ready at midnight, and while the worker is away for a day', async (t) => {
  const store = await openMaintained(t)
  // Kept by a worker up to this moment, a second before a day and a week begin.
  store.clock.set(new Date('2026-03-04T23:59:59.000Z'))
  await partitions.ensurePartitions(store.db.pool, horizon, store.now())
  for (const seconds of [0, 1, 900, day - 902]) {
    store.clock.advance(seconds)
    t.same(await check(store), healthy, store.now().toISOString())
  }
  store.clock.advance(2 * day)
  t.not((await check(store)).missing.length, 0, 'then it says so')
  await partitions.ensurePartitions(store.db.pool, horizon, store.now())
  t.same(await check(store), healthy)
})

t.test('rows that fell into the DEFAULT partition are seen and moved', async (t) => {
  const store = await openTestStore(t)
  const token = await addRefreshToken(store, await addParty(store))
  const health = await check(store)
  for (const table of ['authorization_grant', 'authorization_code', 'refresh_token', 'session', 'audit_event']) {
    t.ok(health.overflowing.includes(table), table)
  }

  await partitions.ensurePartitions(store.db.pool, horizon, store.now())

  t.same(await check(store), healthy)
  t.match(await store.sql('SELECT tableoid::regclass::text AS partition FROM refresh_token'), [
    { partition: `refresh_token_p${token.bucket}` },
  ])
})

t.test('rows that have no end stay in the DEFAULT partition, and are no overflow', async (t) => {
  const store = await openMaintained(t)
  await store.sql(
    `INSERT INTO revocation (bucket, kind, target, position, terminal, instant, reason)
     VALUES (2147483647, 'client', 'c', 1, true, $1, 'disabled')`,
    [store.now()],
  )
  t.same(await check(store), healthy)
  store.clock.advance(400 * day)
  await partitions.dropExpiredPartitions(store.db.pool, horizon, store.now())
  t.equal((await store.sql('SELECT FROM revocation')).length, 1)
})

t.test('while rows keep coming into the DEFAULT partition, none is lost and the partition is attached', async (t) => {
  const store = await openTestStore(t)
  const other = store.another()
  let done = false
  let written = 0
  const write = (idHash: Buffer) =>
    other.query('test.insert', 'INSERT INTO interaction VALUES ($1, $2, $2, $3, $4, NULL, $5, $5, NULL)', [
      Math.floor(store.now().getTime() / 86_400_000),
      idHash,
      'c',
      {},
      store.now(),
    ])
  const writer = (async () => {
    while (!done) {
      const idHash = store.random.bytes(32)
      // The row that was on its way into the DEFAULT partition is refused: 503, and it is written by the next attempt.
      await write(idHash).catch((error) => {
        if (!isDatabaseAway(error)) throw error
        return write(idHash)
      })
      written++
    }
  })()
  await partitions.ensurePartitions(store.db.pool, horizon, store.now())
  done = true
  await writer
  t.not(written, 0)
  t.equal((await store.sql('SELECT FROM interaction')).length, written)
  t.same(await check(store), healthy)
})

t.test('a partition is dropped two days after its last row has expired, not before', async (t) => {
  const store = await openMaintained(t)
  const today = Math.floor(store.now().getTime() / (day * 1000))
  const of = (table: string) => names(store).then((all) => all.filter((name) => name.startsWith(`${table}_p`)))
  t.same(await partitions.dropExpiredPartitions(store.db.pool, horizon, store.now()), [])

  store.clock.set(new Date((today + 3) * day * 1000 - 1))
  await partitions.dropExpiredPartitions(store.db.pool, horizon, store.now())
  t.ok((await of('access_token')).includes(`access_token_p${today}`), 'two days of grace')
  store.clock.advance(0.001)
  const dropped = await partitions.dropExpiredPartitions(store.db.pool, horizon, store.now())
  t.ok(dropped.includes(`access_token_p${today}`))
  t.notOk((await of('access_token')).includes(`access_token_p${today}`))
  t.ok((await of('access_token')).includes(`access_token_p${today + 1}`))

  store.clock.advance(60 * day)
  await partitions.dropExpiredPartitions(store.db.pool, horizon, store.now())
  t.same(await of('refresh_token'), [], 'those of weeks go with their week')
  t.not((await of('audit_event')).length, 0, 'the audit is kept for its set time')
  store.clock.advance(60 * day)
  await partitions.dropExpiredPartitions(store.db.pool, horizon, store.now())
  t.same(await names(store), [])
})

t.test('several processes create and drop at once without an error, each partition once', async (t) => {
  const store = await openTestStore(t)
  const pools = [store.db, store.another(), store.another()].map(({ pool }) => pool)
  const created = await Promise.all(pools.map((pool) => partitions.ensurePartitions(pool, horizon, store.now())))
  t.same(created.flat().sort(), (await names(store)).sort())
  t.equal(new Set(created.flat()).size, created.flat().length)
  t.same(await check(store), healthy)

  store.clock.advance(8 * day)
  await t.resolves(
    Promise.all(
      pools.flatMap((pool) => [
        partitions.dropExpiredPartitions(pool, horizon, store.now()),
        partitions.ensurePartitions(pool, horizon, store.now()),
      ]),
    ),
  )
  t.same(await check(store), healthy)
})

t.test(
  'the horizon follows the longest lifetime that a client was given, and the worker follows the horizon',
  async (t) => {
    const store = await openTestStore(t)
    const { config } = loadConfig({ env: {} })
    const own = config.tokens.refreshTokenLifetime
    t.equal((await partitions.horizonOf(store.db, config)).grantLifetime, own)
    await addClient(store, { refreshTokenLifetime: 60 })
    t.equal((await partitions.horizonOf(store.db, config)).grantLifetime, own, 'never shorter than the setting')
    await addClient(store, { refreshTokenLifetime: own + 90 * day })
    const grown = await partitions.horizonOf(store.db, config)
    t.equal(grown.grantLifetime, own + 90 * day)

    const { db, clock } = store
    const log = { info: () => undefined }
    await maintainPartitions({ db, clock, config, log } as unknown as Context)
    t.same(await check(store, grown), healthy)
    t.ok((await names(store)).includes(`refresh_token_p${weekBucket(store.later(own + 90 * day))}`))
  },
)

t.test('a transaction that holds a table stops neither the worker for ever nor those behind it', async (t) => {
  const store = await openMaintained(t)
  store.clock.advance(10 * day)
  let release = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  let begin = () => {}
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const held = store.db.transaction(async (tx) => {
    await tx.prisma.$executeRawUnsafe('LOCK TABLE access_token IN ACCESS SHARE MODE')
    begin()
    await released
  })
  await begun
  // Two seconds of attempts, once: the only wait of this file.
  let trying = true
  const dropping = partitions.dropExpiredPartitions(store.db.pool, horizon, store.now()).finally(() => (trying = false))
  const refused = t.rejects(dropping, { code: '55P03' })
  const request = await store.another().pool.connect()
  let read = 0
  try {
    // Twenty times what one attempt holds it up: behind an attempt that waited as long as all of them it would fail.
    await request.query('SET lock_timeout = 1000')
    for (; trying; read++) await request.query('SELECT FROM access_token WHERE bucket = 0')
  } finally {
    request.release(true)
  }
  await refused
  t.not(read, 0)
  release()
  await held
  t.not((await partitions.dropExpiredPartitions(store.db.pool, horizon, store.now())).length, 0)
})
