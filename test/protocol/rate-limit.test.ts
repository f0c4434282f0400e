import t from 'tap'
import { continueEnd, createApiKey, endApiKey, endApiKeys, findApiKey, listApiKeys } from '../../src/api-keys/index.js'
import { createTier, deleteTier, findTier, updateTier } from '../../src/limits/index.js'
import { createDatabaseProxy } from '../support/database-proxy.js'
import { createTestServer, sql, type TestServer } from '../support/server.js'
import { statementsOf } from '../support/tokens.js'

const by = { actor: 'operator' }
const form = { grant_type: 'client_credentials' }
const api = 'https://api.example'

/** A server with a tier, and a service that has it. */
async function createLimitedServer(t: Parameters<typeof createTestServer>[0], burst = 5, options = {}) {
  const server = await createTestServer(t, options)
  await server.createResource(api, 'read')
  await createTier(server.ctx, 'gold', { limit: 10, window: 10, burst }, by)
  const service = await server.createService('read', { rate_tier: 'gold' })
  return { server, service, ask: (of = server) => of.post('/token', form, { authorization: service.basic }) }
}

const fields = ({ headers }: { readonly headers: Record<string, unknown> }) => ({
  policy: headers['ratelimit-policy'],
  limit: headers['ratelimit'],
  retryAfter: headers['retry-after'],
})

t.test('successful answers say what is left, and one past the limit is 429 with Retry-After', async (t) => {
  const { server, ask } = await createLimitedServer(t)
  const policy = '"gold";q=10;w=10'
  for (const [left, reset] of [
    [4, 1],
    [3, 2],
    [2, 3],
    [1, 4],
    [0, 5],
  ]) {
    const answer = await ask()
    t.equal(answer.statusCode, 200)
    t.same(fields(answer), { policy, limit: `"gold";r=${left};t=${reset}`, retryAfter: undefined })
  }
  const refused = await ask()
  t.equal(refused.statusCode, 429)
  t.equal(refused.json().error, 'temporarily_unavailable')
  t.equal(refused.headers['cache-control'], 'no-store')
  t.same(fields(refused), { policy, limit: '"gold";r=0;t=5', retryAfter: '1' })
  server.clock.advance(1)
  t.equal((await ask()).statusCode, 200, 'and after those seconds it is served')
})

t.test('both ways of an answer say the same', async (t) => {
  const { server, service } = await createLimitedServer(t, 10)
  const authorization = service.basic
  // An `Origin` goes by Fastify.
  const ways: readonly Record<string, string>[] = [{ authorization }, { authorization, origin: 'https://app.example' }]
  const seen = []
  for (const headers of ways) {
    const token = await server.post('/token', form, headers)
    const revoked = await server.post('/revoke', { token: token.json().access_token }, headers)
    t.equal(revoked.statusCode, 200)
    t.equal(revoked.body, '')
    t.equal(revoked.headers['content-length'], '0')
    seen.push([fields(token).policy, fields(revoked).policy])
  }
  t.same(seen[0], seen[1])
  while ((await server.post('/token', form, ways[0])).statusCode === 200);
  const [direct, scoped] = [await server.post('/token', form, ways[0]), await server.post('/token', form, ways[1])]
  t.same(fields(direct), fields(scoped))
  t.equal(scoped.statusCode, 429)
  t.same(direct.json(), scoped.json())
})

t.test('the three endpoints for clients share what a tier allows', async (t) => {
  const { server, service, ask } = await createLimitedServer(t, 3)
  const token = (await ask()).json().access_token
  const headers = { authorization: service.basic }
  t.equal((await server.post('/introspect', { token }, headers)).json().active, true)
  t.equal((await server.post('/revoke', { token }, headers)).statusCode, 200)
  for (const path of ['/introspect', '/revoke', '/token']) {
    t.equal((await server.post(path, { ...form, token }, headers)).statusCode, 429, path)
  }
})

t.test('without a tier nothing is added and nothing is counted', async (t) => {
  const server = await createTestServer(t)
  await server.createResource(api, 'read')
  const service = await server.createService('read')
  const answer = await server.post('/token', form, { authorization: service.basic })
  t.same(fields(answer), { policy: undefined, limit: undefined, retryAfter: undefined })
  t.same(await sql(server, 'SELECT FROM rate_limit'), [])
})

t.test('who does not authenticate uses up nothing of a client', async (t) => {
  const { server, service, ask } = await createLimitedServer(t, 2)
  const wrong = `Basic ${Buffer.from(`${service.clientId}:wrong`).toString('base64')}`
  for (let index = 0; index < 5; index++) {
    t.equal((await server.post('/token', form, { authorization: wrong })).statusCode, 401)
  }
  t.equal((await ask()).statusCode, 200)
  t.equal((await ask()).statusCode, 200)
})

t.test('a public client is counted by network: whoever calls himself by its name uses up his own', async (t) => {
  const server = await createTestServer(t, { env: { TRUST_PROXY: 'loopback' } })
  await createTier(server.ctx, 'app', { limit: 2, window: 60, burst: 2 }, by)
  const { clientId } = await server.createClient({ token_endpoint_auth_method: 'none', rate_tier: 'app' })
  const ask = async (from: string): Promise<number> => {
    const headers = { 'x-forwarded-for': from }
    const body = {
      grant_type: 'authorization_code',
      client_id: clientId,
      code: 'none',
      redirect_uri: 'https://app.example/cb',
    }
    return (await server.post('/token', body, headers)).statusCode
  }
  const stranger = ['2001:db8:0:1::1', '2001:db8:0:1::2', '2001:db8:0:1:ffff::3']
  t.same([await ask(stranger[0]!), await ask(stranger[1]!), await ask(stranger[2]!)], [400, 400, 429], 'one /64 is one')
  t.same([await ask('192.0.2.1'), await ask('::ffff:192.0.2.1'), await ask('192.0.2.1')], [400, 400, 429])
  t.equal(await ask('198.51.100.7'), 400)
})

t.test('a tier that is changed holds for what comes next, at other processes too', async (t) => {
  const { server, ask } = await createLimitedServer(t)
  const second = await createTestServer(t, { beside: server })
  for (let index = 0; index < 5; index++) await ask()
  t.equal((await ask(second)).statusCode, 429)
  await updateTier(server.ctx, 'gold', { burst: 8 }, by)
  await second.refresh()
  const statuses = [await ask(), await ask(second), await ask(second), await ask(), await ask(second)]
  t.same(
    statuses.map(({ statusCode }) => statusCode),
    [200, 200, 200, 429, 429],
    'three more at once',
  )
})

t.test('a tier cannot be deleted while a client has it, nor given where there is none', async (t) => {
  const { server, service } = await createLimitedServer(t)
  await t.rejects(deleteTier(server.ctx, 'gold', by), /1 client has the tier gold/)
  await t.rejects(server.createService('read', { rate_tier: 'silver' }), /rate_tier names the tier silver/)
  t.match((await server.audit('tier.created'))[0], { detail: { tier: 'gold', limit: 10, window: 10, burst: 5 } })
  t.ok(service.clientId)
})

t.test('nor while an API key has it that lives; one that is over is no reason', async (t) => {
  const server = await createTestServer(t)
  const { ctx, clock } = server
  await server.createResource(api, 'read')
  await createTier(ctx, 'gold', { limit: 10, window: 10 }, by)
  const owner = { kind: 'client', id: (await server.createService('read')).clientId } as const
  const make = async (request = {}) =>
    (await createApiKey(ctx, { owner, name: 'x', scope: ['read'], tier: 'gold', ...request }, by)).key
  await t.rejects(make({ tier: 'silver' }), { name: 'InvalidValueError', field: 'tier', message: /no tier silver/ })
  const expiring = await make({ lifetime: 60 })
  const [ended, replaced] = [await make(), await make({ prefix: 'old' })]
  const cause = { ...by, reason: 'test' }
  await t.rejects(deleteTier(ctx, 'gold', by), /^3 API keys have the tier gold: first end the keys/)
  await endApiKey(ctx, ended.id, { cause })
  clock.advance(60)
  t.match(await findTier(ctx, 'gold'), { clients: 0, apiKeys: 1 })
  const target = { kind: 'prefix', prefix: 'old' } as const
  const { id } = await endApiKeys(ctx, target, { cause, replace: true, limit: 0 })
  await t.rejects(
    deleteTier(ctx, 'gold', by),
    /^1 API key has the tier gold/,
    'one whose successor is still to be made',
  )
  const { successors } = await continueEnd(ctx, id!, { cause })
  t.match(successors, [{ previous: replaced.id, key: { tier: 'gold' } }])
  await t.rejects(deleteTier(ctx, 'gold', by), /^1 API key has the tier gold/)
  // RESTRICT has a code of its own from PostgreSQL 18 on.
  await t.rejects(sql(server, `DELETE FROM tier WHERE name = 'gold'`), { code: /^23(001|503)$/ }, 'whoever asks for it')
  await endApiKeys(ctx, target, { cause })
  await deleteTier(ctx, 'gold', by)
  t.equal((await findApiKey(ctx, expiring.id)).tier, undefined)
  await t.rejects(make(), /no tier gold/)
})

t.test('of keys that are made while their tier is deleted none is without a limit', async (t) => {
  const server = await createTestServer(t)
  const { ctx } = server
  await server.createResource(api, 'read')
  const owner = { kind: 'client', id: (await server.createService('read')).clientId } as const
  for (let round = 0; round < 5; round++) {
    await createTier(ctx, 'gold', { limit: 10, window: 10 }, by)
    const request = { owner, name: 'x', scope: ['read'], tier: 'gold' }
    const [deleted, ...made] = await Promise.allSettled([
      deleteTier(ctx, 'gold', by),
      ...Array.from({ length: 4 }, () => createApiKey(ctx, request, by)),
    ])
    const errors = [deleted, ...made].flatMap((each) => (each?.status === 'rejected' ? [each.reason.name] : []))
    t.ok(
      errors.every((name) => ['ConflictError', 'InvalidValueError'].includes(name)),
      errors.join(),
    )
    const keys = await listApiKeys(ctx, { owner, liveAt: ctx.clock.now() })
    const isThere = deleted?.status === 'rejected'
    t.equal(keys.filter(({ tier }) => tier === 'gold').length, isThere ? keys.length : 0)
    for (const { id } of keys) await endApiKey(ctx, id, { cause: { ...by, reason: 'test' } })
    if (isThere) await deleteTier(ctx, 'gold', by)
  }
})

t.test('a warm process touches no row for client_credentials', async (t) => {
  const server = await createTestServer(t)
  await server.createResource(api, 'read')
  await createTier(server.ctx, 'gold', { limit: 100_000, window: 60, burst: 10_000 }, by)
  const service = await server.createService('read', { rate_tier: 'gold' })
  const ask = () => server.post('/token', form, { authorization: service.basic })
  for (let index = 0; index < 300; index++) await ask()
  const statements: string[] = []
  const { pool } = server.ctx.db
  const { query } = pool
  pool.query = ((...args: unknown[]) => {
    statements.push(String((args[0] as { name?: string }).name))
    return (query as (...all: unknown[]) => unknown).apply(pool, args)
  }) as typeof query
  for (let index = 0; index < 200; index++) t.equal((await ask()).statusCode, 200)
  pool.query = query
  t.ok(statements.length <= 6, `${statements.length} statements for 200 tokens`)
})

t.test(
  'of a small burst every accepted request is leased; what comes together shares a statement, what is refused costs none',
  async (t) => {
    const { server, ask } = await createLimitedServer(t)
    await ask()
    server.clock.advance(60)
    const costOf = async (work: () => Promise<unknown>): Promise<number> =>
      (await statementsOf(server, work)).filter((name) => name === 'rate_limits.lease').length
    const together = (requests: number) => Promise.all(Array.from({ length: requests }, ask))
    const sequence = async (statuses: readonly number[]) => {
      for (const status of statuses) t.equal((await ask()).statusCode, status)
    }
    t.equal(await costOf(() => sequence([200, 200, 200, 200, 200])), 5)
    t.equal(await costOf(() => sequence([429])), 1, 'what says no')
    t.equal(await costOf(() => sequence(Array(50).fill(429))), 0)
    t.equal(await costOf(() => together(50)), 0)
    server.clock.advance(1)
    t.equal(await costOf(() => sequence([200])), 1)

    // Of whom nothing is known yet: 20 clients, of each the first, and then all others that came in this turn.
    const { rateLimits } = server.ctx
    const keys = Array.from({ length: 20 }, (_, client) => `client ${client}`)
    const cost = await costOf(async () => {
      const taken = keys.flatMap((key) => Array.from({ length: 10 }, () => rateLimits.take(key, 'gold')))
      const verdicts = await Promise.all(taken)
      t.equal(verdicts.filter((verdict) => verdict?.accepted).length, 20 * 5)
    })
    t.equal(cost, 2, 'two statements for 200 requests')
  },
)

async function acceptedOf(servers: readonly TestServer[], authorizations: readonly string[], requests: number) {
  const answers = await Promise.all(
    Array.from({ length: requests }, (_, index) =>
      servers[index % servers.length]!.post('/token', form, {
        authorization: authorizations[index % authorizations.length]!,
      }),
    ),
  )
  return answers.filter(({ statusCode }) => statusCode === 200).length
}

t.test('ten clients against two processes: as many are accepted as is stated', async (t) => {
  const first = await createTestServer(t)
  await first.createResource(api, 'read')
  for (const burst of [10, 100]) {
    const tier = `burst-${burst}`
    const numbers = { limit: 100, window: 10, burst }
    await createTier(first.ctx, tier, numbers, by)
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => first.createService('read', { rate_tier: tier })),
    )
    const second = await createTestServer(t, { beside: first })
    const hasLostStore = (): boolean => [first, second].some(({ logs }) => logs.some((line) => /by shares/.test(line)))
    for (const { basic } of clients) {
      let accepted = 0
      // A window: a burst at its beginning, and ten a second come back until its end.
      for (let second_ = 0; second_ <= 10; second_++) {
        accepted += await acceptedOf([first, second], [basic], second_ === 0 ? burst + 20 : 20)
        first.clock.advance(second_ < 10 ? 1 : 60)
      }
      t.notOk(hasLostStore(), 'the store answered in time')
      t.ok(accepted <= 100 + burst + burst / 20, `burst ${burst}: ${accepted}`)
      t.ok(accepted >= 100 + burst - burst / 10, `burst ${burst}: ${accepted}`)
    }
  }
})

t.test('the store is away: each process goes on with its share, says so once, and goes back to it', async (t) => {
  const first = await createTestServer(t)
  await first.createResource(api, 'read')
  await createTier(first.ctx, 'gold', { limit: 10, window: 10, burst: 10 }, by)
  const service = await first.createService('read', { rate_tier: 'gold' })
  const proxies: Awaited<ReturnType<typeof createDatabaseProxy>>[] = []
  const through = async (url: string): Promise<string> => {
    const proxy = await createDatabaseProxy(t, url)
    proxies.push(proxy)
    return proxy.url
  }
  const servers = [
    await createTestServer(t, { beside: first, through, seed: 'one' }),
    await createTestServer(t, { beside: first, through, seed: 'two' }),
  ]
  const ask = async (server: TestServer) =>
    (await server.post('/token', form, { authorization: service.basic })).statusCode
  // Each says that it is there, and hears of the other.
  for (const server of [...servers, ...servers]) {
    t.equal(await ask(server), 200)
    server.clock.advance(6)
  }
  first.clock.advance(60)
  for (const proxy of proxies) proxy.down()

  const statuses: number[] = []
  for (let index = 0; index < 10; index++) for (const server of servers) statuses.push(await ask(server))
  t.notOk(
    statuses.some((status) => status !== 200 && status !== 429),
    'no request fails for it',
  )
  t.equal(statuses.filter((status) => status === 200).length, 10, 'two shares are the whole')
  const said = (server: TestServer, text: RegExp) => server.logs.filter((line) => text.test(line)).length
  for (const server of servers) t.equal(said(server, /go on by shares/), 1)
  t.equal(servers[0]!.ctx.rateLimits.state(), 'share')

  for (const proxy of proxies) proxy.up()
  first.clock.advance(60)
  for (const server of servers) {
    await ask(server)
    for (let waited = 0; server.ctx.rateLimits.state() === 'share' && waited < 100; waited++) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    t.equal(said(server, /hold over all processes again/), 1)
  }
  t.equal(await ask(servers[0]!), 200)
})

t.test('keys are hashed: neither a client nor an address can be read from the table', async (t) => {
  const { server, service, ask } = await createLimitedServer(t)
  await ask()
  const [row] = await sql(server, 'SELECT key FROM rate_limit')
  t.equal(row.key.length, 32)
  t.notOk(row.key.toString('latin1').includes(service.clientId))
})
