import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { conform } from '../../src/limits/gcra.js'
import { createTier } from '../../src/limits/index.js'
import { redisStore } from '../../src/limits/redis-store.js'
import type { RateGrant } from '../../src/store/index.js'
import { startRedis, withoutRedis } from '../support/redis.js'
import { freePort } from '../support/running-server.js'
import { createTestServer, type TestServer } from '../support/server.js'

const skip = withoutRedis

const start = Date.UTC(2026, 2, 1, 12)

t.test('the script grants what the algorithm does', { skip }, async (t) => {
  const { url } = await startRedis(t)
  const store = redisStore(url)
  t.teardown(store.close)
  const rate = { limit: 7, window: 10, burst: 5 }
  const key = Buffer.alloc(32, 1)
  let now = start
  let tat = 0
  for (const [pause, units] of [
    [0, 3],
    [0, 9],
    [500, 1],
    [1_500, 2],
    [60_000, 9],
    [10, 1],
    [1_418, 1],
    [1, 1],
    [3_000, 4],
  ]) {
    now += pause!
    const expected = conform(rate, tat, now, units!)
    const { granted, debt } = await store.lease({ ...rate, key, units: units!, now: new Date(now) })
    t.equal(granted, expected.granted, `at ${now - start}`)
    t.ok(Math.abs(debt - Math.max(0, expected.tat - now)) < 0.01, `a debt of ${debt}`)
    tat = expected.tat
  }
  await store.lease({ ...rate, key, units: 5, now: new Date(now + 3_600_000) })
  t.match(await store.lease({ ...rate, key, units: 5, now: new Date(now) }), { granted: 0 }, 'a clock an hour ahead')
  t.match(await store.lease({ ...rate, key, units: 5, now: new Date(now + 1_430) }), { granted: 1 }, 'keeps nobody out')
})

t.test('who leases is counted until it leaves or is silent', { skip }, async (t) => {
  const { url } = await startRedis(t)
  const store = redisStore(url)
  t.teardown(store.close)
  const announce = (id: string, seconds: number) =>
    store.announce({ scope: 'server', id, now: new Date(start + seconds * 1000) })
  t.same([await announce('a', 0), await announce('b', 0), await announce('a', 20)], [1, 2, 2])
  t.equal(await announce('a', 31), 1)
  await announce('b', 31)
  await store.leave({ scope: 'server', id: 'b', now: new Date(start) })
  t.equal(await announce('a', 32), 1)
})

t.test(
  'what was asked while it was away is refused at once, and takes nothing once it is back',
  { skip },
  async (t) => {
    const redis = await startRedis(t)
    const store = redisStore(redis.url)
    t.teardown(store.close)
    const ask = { key: Buffer.alloc(32, 2), units: 1, limit: 5, window: 10, burst: 5, now: new Date(start) }
    await store.lease(ask)
    await redis.down()
    const refused = await Promise.allSettled(Array.from({ length: 200 }, () => store.lease(ask)))
    t.same([...new Set(refused.map(({ status }) => status))], ['rejected'])
    await redis.up()
    const lease = (): Promise<RateGrant> => store.lease({ ...ask, units: 5 }).catch(() => delay(10).then(lease))
    t.match(await lease(), { granted: 5 }, 'the whole burst')
  },
)

t.test('two processes share a limit by REDIS_URL; it is killed, and they go on', { skip }, async (t) => {
  const redis = await startRedis(t)
  const env = { REDIS_URL: redis.url }
  const first = await createTestServer(t, { env })
  const second = await createTestServer(t, { env, beside: first })
  await first.createResource('https://api.example', 'read')
  await createTier(first.ctx, 'gold', { limit: 10, window: 10, burst: 10 }, { actor: 'operator' })
  const service = await first.createService('read', { rate_tier: 'gold' })
  await second.refresh()
  const ask = async (server: TestServer): Promise<number> => {
    const form = { grant_type: 'client_credentials' }
    return (await server.post('/token', form, { authorization: service.basic })).statusCode
  }
  const count = async (requests: number): Promise<number> => {
    const statuses: number[] = []
    for (let index = 0; index < requests; index++) statuses.push(await ask(index % 2 ? first : second))
    t.notOk(
      statuses.some((status) => status !== 200 && status !== 429),
      statuses.join(' '),
    )
    return statuses.filter((status) => status === 200).length
  }
  t.equal(await count(30), 10)
  first.clock.advance(6)
  await count(2)
  first.clock.advance(60)
  await redis.down()
  t.equal(await count(30), 10, 'two shares')
  t.equal(first.ctx.rateLimits.state(), 'share')
  t.equal(first.logs.filter((line) => /go on by shares/.test(line)).length, 1)

  await redis.up()
  for (let waited = 0; first.ctx.rateLimits.state() === 'share' && waited < 200; waited++) {
    first.clock.advance(2)
    await ask(first)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  t.equal(first.ctx.rateLimits.state(), 'shared')
})

t.test('a server that never was there costs the first request two seconds, and no other anything', async (t) => {
  const port = await freePort()
  const server = await createTestServer(t, { env: { REDIS_URL: `redis://127.0.0.1:${port}`, PROCESSES: '2' } })
  await server.createResource('https://api.example', 'read')
  await createTier(server.ctx, 'gold', { limit: 10, window: 10, burst: 10 }, { actor: 'operator' })
  const service = await server.createService('read', { rate_tier: 'gold' })
  const form = { grant_type: 'client_credentials' }
  const statuses: number[] = []
  for (let index = 0; index < 12; index++) {
    statuses.push((await server.post('/token', form, { authorization: service.basic })).statusCode)
  }
  t.same(statuses, [...Array(5).fill(200), ...Array(7).fill(429)], 'the share of one of two processes')
})
