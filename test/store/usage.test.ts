import t from 'tap'
import { type CountedUse, dayBucket, type NetworkUse, partitions, usage } from '../../src/store/index.js'
import { createUsageTrail } from '../../src/usage/index.js'
import { openTestStore } from '../support/store.js'

const log = { warn: () => undefined, error: () => undefined } as never
const day = 86_400
const horizon = { grantLifetime: day, sessionLifetime: day, auditRetentionDays: 90 }

const store = await openTestStore(t)
const { db, now, later } = store
await partitions.ensurePartitions(db.pool, horizon, now())

const counted = (credential: string, more: Partial<CountedUse> = {}): CountedUse => ({
  ...{ kind: 'api_key', credential, api: 'a', scope: '', outcome: 'accepted', superseded: false },
  ...{ hour: new Date(Math.floor(now().getTime() / 3_600_000) * 3_600_000), count: 1, ...more },
})
const seen = (credential: string, network: string, more: Partial<NetworkUse> = {}): NetworkUse => ({
  ...{ kind: 'api_key', credential, api: 'a', network, superseded: false },
  ...{ firstSeen: now(), lastSeen: now(), count: 1, ...more },
})
const filter = (...credentials: string[]) =>
  ({ kind: 'api_key', credentials, since: later(-7 * day), now: now() }) as const

t.test('two processes that write the same rows in opposite order add up, and do not deadlock', async (t) => {
  const other = store.another()
  const rows = Array.from({ length: 200 }, (_, n) => counted(`both${n}`))
  const from = rows.map(({ credential }) => seen(credential, '192.0.2.0/24'))
  await Promise.all(
    Array.from({ length: 6 }, async (_, turn) => {
      const at = turn % 2 ? other : db
      await usage.add(at, turn % 2 ? rows.toReversed() : rows)
      await usage.addNetworks(at, turn % 2 ? from.toReversed() : from)
    }),
  )
  const totals = await usage.totals(db, filter(...rows.map(({ credential }) => credential)))
  t.equal(totals.length, 200)
  t.ok(totals.every(({ count }) => count === 6))
  t.match(await usage.networks(db, filter('both7')), [{ network: '192.0.2.0/24', count: 6, days: 1 }])
})

t.test('a credential has a hundred networks a day at an API; the others are counted as more', async (t) => {
  const from = Array.from({ length: 250 }, (_, n) => seen('many', `10.0.${n}.0/24`))
  await usage.addNetworks(db, from.slice(0, 60))
  await usage.addNetworks(db, from)
  await usage.addNetworks(db, [seen('many', '10.0.3.0/24'), seen('many', '10.9.9.0/24'), seen('few', '10.9.9.0/24')])
  const found = await usage.networks(db, filter('many'))
  t.equal(found.length, 101)
  t.equal(
    found.reduce((sum, { count }) => sum + count, 0),
    60 + 250 + 2,
  )
  t.match(
    found.find(({ network }) => network === '10.0.3.0/24'),
    { count: 3 },
    'one that is known still has its own',
  )
  t.match(found[0], { network: 'more', count: 151 })
  t.match(await usage.networks(db, filter('few')), [{ network: '10.9.9.0/24' }], 'nobody else has less')
  const elsewhere = [seen('many', '10.8.8.0/24', { api: 'b' }), seen('many', '10.7.7.0/24', { api: 'b' })]
  await usage.addNetworks(db, [...elsewhere, seen('many', '10.9.8.0/24')])
  const atAnother = (await usage.networks(db, filter('many'))).filter(({ api }) => api === 'b')
  t.match(atAnother, [{ network: '10.7.7.0/24' }, { network: '10.8.8.0/24' }], 'one API hides nothing from another')
})

t.test('uses are read by hour and by day', async (t) => {
  const hour = counted('read').hour
  const before = (hours: number) => new Date(hour.getTime() - hours * 3_600_000)
  await usage.add(db, [
    ...[0, 1, 30].map((hours) => counted('read', { hour: before(hours), count: 2 })),
    counted('read', { scope: 'x' }),
    counted('read', { hour: before(24 * 8) }),
  ])
  const hours = await usage.list(db, filter('read'), 'hour')
  t.equal(hours.length, 4, 'what is older than was asked for is left out')
  const days = await usage.list(db, filter('read'), 'day')
  t.equal(
    days.filter(({ scope }) => scope === '').reduce((sum, { count }) => sum + count, 0),
    6,
  )
  t.ok((await usage.countedSince(db))! <= before(24 * 8))
})

t.test('numbers past 2^31 are numbers', async (t) => {
  await usage.add(db, [counted('big', { count: 3_000_000_000 })])
  await usage.add(db, [counted('big', { count: 3_000_000_000 })])
  t.match(await usage.totals(db, filter('big')), [{ count: 6_000_000_000 }])
})

t.test('counts are kept for 90 days, and their partitions dropped after a hundred', async (t) => {
  const later90 = later(90 * day)
  await partitions.dropExpiredPartitions(db.pool, horizon, later90)
  const left = await usage.totals(db, { kind: 'api_key', credentials: ['big'], since: now(), now: later90 })
  t.equal(left.length, 1)
  const dropped = await partitions.dropExpiredPartitions(db.pool, horizon, later(108 * day))
  const week = Math.floor(dayBucket(now()) / 7)
  for (const table of ['usage_count', 'usage_network']) t.ok(dropped.includes(`${table}_p${week}`), table)
})

t.test('a collector keeps what could not be written, and adds to it', async (t) => {
  const { clock } = store
  await partitions.ensurePartitions(db.pool, horizon, now())
  const trail = createUsageTrail(db, log)
  const use = { kind: 'api_key', credential: 'kept', api: 'a', scope: 'read', outcome: 'accepted' } as const
  trail.record({ ...use, at: clock.now() })
  const query = db.pool.query
  db.pool.query = (() => Promise.reject(Object.assign(new Error('lost'), { code: 'ECONNRESET' }))) as typeof query
  await trail.flush()
  trail.record({ ...use, at: clock.now(), count: 2 })
  await trail.flush()
  db.pool.query = query
  await trail.flush()
  await trail.flush()
  t.match(await usage.totals(db, filter('kept')), [
    { scope: '', count: 3 },
    { scope: 'read', count: 3 },
  ])
})
