import fc from 'fast-check'
import t from 'tap'
import { conform } from '../../src/limits/gcra.js'
import { rateLimits, tiers } from '../../src/store/index.js'
import { openTestStore } from '../support/store.js'

const rate = { limit: 10, window: 10, burst: 5 }
const key = (text: string): Buffer => Buffer.from(text)

t.test('a burst at once, then one in each interval', async (t) => {
  const { db, clock, now } = await openTestStore(t)
  const lease = (units: number) => rateLimits.lease(db, { ...rate, key: key('one'), units, now: now() })
  t.same(await lease(3), { granted: 3, debt: 3_000 })
  t.same(await lease(9), { granted: 2, debt: 5_000 })
  t.same(await lease(1), { granted: 0, debt: 5_000 })
  clock.advance(0.999)
  t.same(await lease(1), { granted: 0, debt: 4_001 })
  clock.advance(0.001)
  t.same(await lease(1), { granted: 1, debt: 5_000 })
  clock.advance(3_600)
  t.same(await lease(9), { granted: 5, debt: 5_000 })
})

t.test('of many at once, in one turn and from two processes, no more than conform', async (t) => {
  const { db, another, now, sql } = await openTestStore(t)
  const second = another()
  const ask = (database: typeof db, name: string) =>
    rateLimits.lease(database, { ...rate, burst: 50, key: key(name), units: 3, now: now() })
  const asked = Array.from({ length: 40 }, (_, index) => ask(index % 2 ? db : second, index % 4 < 2 ? 'a' : 'b'))
  const grants = await Promise.all(asked)
  t.equal(
    grants.reduce((sum, { granted }) => sum + granted, 0),
    100,
    'all of two bursts of 50, of 60 asked for each',
  )
  t.equal((await sql('SELECT FROM rate_limit')).length, 2)
})

t.test('the statement grants what the algorithm does', async (t) => {
  const { db, clock, now } = await openTestStore(t)
  let run = 0
  const rates = fc.record({
    window: fc.integer({ min: 1, max: 100 }),
    limit: fc.constantFrom(1, 3, 7, 10, 100, 1_000),
    burst: fc.integer({ min: 1, max: 50 }),
  })
  const requests = fc.array(fc.record({ pause: fc.nat(5_000), units: fc.integer({ min: 1, max: 12 }) }), {
    maxLength: 20,
  })
  await fc.assert(
    fc.asyncProperty(rates, requests, async (each, sequence) => {
      run++
      let tat = 0
      for (const { pause, units } of sequence) {
        clock.advance(pause / 1000)
        const expected = conform(each, tat, now().getTime(), units)
        const { granted, debt } = await rateLimits.lease(db, { ...each, key: key(`run ${run}`), units, now: now() })
        // The statement rounds up to whole nanoseconds.
        if (granted !== expected.granted) return false
        if (Math.abs(debt - Math.max(0, expected.tat - now().getTime())) > 0.01) return false
        tat = expected.tat
      }
      return true
    }),
    { numRuns: 60 },
  )
  t.pass()
})

t.test('a clock that was an hour ahead does not keep anybody out for an hour', async (t) => {
  const { db, clock, now } = await openTestStore(t)
  const lease = (units: number) => rateLimits.lease(db, { ...rate, key: key('clock'), units, now: now() })
  clock.advance(3_600)
  t.match(await lease(5), { granted: 5 })
  clock.advance(-3_600)
  t.same(await lease(5), { granted: 0, debt: 5_000 }, 'as if a burst were used up')
  clock.advance(1)
  t.match(await lease(5), { granted: 1 })
})

t.test('what is whole again for an hour is deleted, and nothing else', async (t) => {
  const { db, clock, now, sql } = await openTestStore(t)
  await rateLimits.lease(db, { ...rate, key: key('old'), units: 1, now: now() })
  await rateLimits.announce(db, { scope: 'server', id: '00000000-0000-4000-8000-000000000001', now: now() })
  clock.advance(3_602)
  await rateLimits.lease(db, { ...rate, key: key('new'), units: 1, now: now() })
  await rateLimits.sweep(db, now())
  t.same(await sql(`SELECT encode(key, 'escape') AS key FROM rate_limit`), [{ key: 'new' }])
  t.same(await sql('SELECT FROM rate_limit_holder'), [])
})

t.test('who leases is counted, by what is leased from, until it leaves or is silent', async (t) => {
  const { db, clock, now, random } = await openTestStore(t)
  const [a, b, c] = [random.uuid(), random.uuid(), random.uuid()]
  const announce = (id: string, scope = 'server') => rateLimits.announce(db, { scope, id, now: now() })
  t.equal(await announce(a), 1)
  t.equal(await announce(b), 2)
  t.equal(await announce(c, 'https://api.example'), 1)
  clock.advance(20)
  t.equal(await announce(a), 2)
  clock.advance(11)
  t.equal(await announce(a), 1, 'the other was silent for more than 30 s')
  await announce(b)
  t.equal(await announce(a), 2)
  await rateLimits.leave(db, { scope: 'server', id: b })
  t.equal(await announce(a), 1)
})

t.test('tiers are kept, changed and deleted', async (t) => {
  const { db, now, later } = await openTestStore(t)
  const tier = { name: 'gold', limit: 100, window: 60, burst: 20, createdAt: now(), updatedAt: now() }
  await tiers.create(db, tier)
  t.same(await tiers.find(db, 'gold'), tier)
  t.same(await tiers.list(db), [tier])
  await tiers.update(db, { ...tier, limit: 50, updatedAt: later(1) })
  t.match(await tiers.list(db), [{ limit: 50, burst: 20 }])
  t.same(await tiers.countHolders(db, 'gold', now()), { clients: 0, apiKeys: 0 })
  await tiers.remove(db, 'gold')
  t.same(await tiers.list(db), [])
  t.equal(await tiers.find(db, 'gold'), undefined)
})

t.test('what is counted is in tables that a crash empties, and in no backup', async (t) => {
  const { sql } = await openTestStore(t)
  t.same(
    await sql(
      `SELECT relname AS name, relpersistence AS kept FROM pg_class WHERE relname IN ('rate_limit', 'rate_limit_holder') ORDER BY 1`,
    ),
    [
      { name: 'rate_limit', kept: 'u' },
      { name: 'rate_limit_holder', kept: 'u' },
    ],
  )
})
