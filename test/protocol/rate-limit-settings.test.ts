import t from 'tap'
import { createApiKey } from '../../src/api-keys/index.js'
import { createTier, deleteTier, requireNamedTiers, updateTier } from '../../src/limits/index.js'
import { issueCode } from '../support/grants.js'
import { createTestServer, send, sql, type TestClient } from '../support/server.js'
import { application, postAs, statementsOf } from '../support/tokens.js'

const by = { actor: 'operator' }
const form = { grant_type: 'client_credentials' }
const api = 'https://api.example'

const fields = ({ headers }: { readonly headers: Record<string, unknown> }) => ({
  policy: headers['ratelimit-policy'],
  limit: headers['ratelimit'],
  retryAfter: headers['retry-after'],
})

/** A server whose settings name tiers, each of which allows so many at once. */
async function createBoundServer(t: Parameters<typeof createTestServer>[0], bursts: Record<string, number>, env = {}) {
  const first = await createTestServer(t)
  await first.createResource(api, 'read')
  const named: Record<string, string> = {}
  for (const [of, burst] of Object.entries(bursts)) {
    named[`RATE_TIER_${of.toUpperCase()}`] = `each-${of}`
    await createTier(first.ctx, `each-${of}`, { limit: 10, window: 10, burst }, by)
  }
  return createTestServer(t, { beside: first, env: { ...named, ...env } })
}

t.test(
  'a tier of networks bounds all that comes from one, whoever sends it, before anybody is authenticated',
  async (t) => {
    const server = await createBoundServer(t, { network: 3 }, { TRUST_PROXY: 'loopback' })
    const [one, two] = [await server.createService('read'), await server.createService('read')]
    const ask = (basic: string, from: string, path = '/token', more = {}) =>
      server.post(path, { ...form, token: 'x' }, { authorization: basic, 'x-forwarded-for': from, ...more })
    const first = await ask(one.basic, '192.0.2.1')
    t.equal(first.statusCode, 200)
    t.match(fields(first), { policy: '"each-network";q=10;w=10', limit: '"each-network";r=2;t=1' })
    t.equal((await ask(two.basic, '::ffff:192.0.2.77', '/introspect')).statusCode, 200)
    const wrong = Buffer.from(`${one.clientId}:wrong`).toString('base64')
    t.equal((await ask(`Basic ${wrong}`, '192.0.2.200', '/revoke')).statusCode, 401)
    const failures = async () => (await server.audit('client.authentication_failed')).length
    t.equal(await failures(), 1)
    for (const path of ['/token', '/introspect', '/revoke']) {
      const refused = await ask(`Basic ${wrong}`, '192.0.2.3', path)
      t.equal(refused.statusCode, 429, path)
      t.match(fields(refused), { limit: '"each-network";r=0;t=3', retryAfter: '1' })
      t.match(refused.json(), { error: 'temporarily_unavailable', error_description: /from this network/ })
      // An `Origin` goes by Fastify.
      const scoped = await ask(one.basic, '192.0.2.3', path, { origin: 'https://app.example' })
      t.same([scoped.statusCode, scoped.json(), fields(scoped)], [429, refused.json(), fields(refused)])
    }
    t.equal(await failures(), 1, 'a guess past it is not compared with anything')
    t.ok(server.logs.some((line) => line.includes('rate_of_network_exceeded')))
    t.equal((await ask(one.basic, '198.51.100.1')).statusCode, 200, 'another network')
    const site = ['2001:db8:0:1::1', '2001:db8:0:1::2', '2001:db8:0:1:ffff::3', '2001:db8:0:1::4', '2001:db8:0:2::1']
    const statuses = []
    for (const address of site) statuses.push((await ask(one.basic, address)).statusCode)
    t.same(statuses, [200, 200, 200, 429, 200], 'a /64 is one')
    server.clock.advance(1)
    t.equal((await ask(one.basic, '192.0.2.1')).statusCode, 200, 'and after those seconds it is served')
  },
)

t.test('the address is that of the connection, where no proxy is trusted', async (t) => {
  const server = await createBoundServer(t, { network: 2 })
  const service = await server.createService('read')
  const statuses = []
  for (const from of ['192.0.2.1', '198.51.100.1', '203.0.113.1']) {
    const headers = { authorization: service.basic, 'x-forwarded-for': from }
    statuses.push((await server.post('/token', form, headers)).statusCode)
  }
  t.same(statuses, [200, 200, 429])
})

t.test('a tier of addresses bounds one of them; what several limits say is a list', async (t) => {
  const server = await createBoundServer(t, { address: 2, network: 3 }, { TRUST_PROXY: 'loopback' })
  await createTier(server.ctx, 'gold', { limit: 10, window: 10, burst: 9 }, by)
  const service = await server.createService('read', { rate_tier: 'gold' })
  const ask = (from: string) => server.post('/token', form, { authorization: service.basic, 'x-forwarded-for': from })
  const answer = await ask('192.0.2.1')
  t.same(fields(answer), {
    policy: '"each-address";q=10;w=10, "each-network";q=10;w=10, "gold";q=10;w=10',
    limit: '"each-address";r=1;t=1, "each-network";r=2;t=1, "gold";r=8;t=1',
    retryAfter: undefined,
  })
  t.equal((await ask('192.0.2.1')).statusCode, 200)
  t.match(fields(await ask('192.0.2.1')), { limit: '"each-address";r=0;t=2', retryAfter: '1' })
  t.equal((await ask('192.0.2.2')).statusCode, 200, 'what an address was refused its network has not used up')
  t.match(fields(await ask('192.0.2.3')), { limit: '"each-network";r=0;t=3' })
})

t.test(
  'they hold at every endpoint that strangers, clients and people call, together, in the form of each',
  async (t) => {
    const env = { TRUST_PROXY: 'loopback', REGISTRATION: 'open' }
    const server = await createBoundServer(t, { network: 1 }, env)
    const page = /^text\/html/
    const json = /^application\/json/
    const problem = /^application\/problem\+json/
    const origin = 'https://app.example'
    const places: readonly (readonly [
      method: 'GET' | 'POST',
      path: string,
      type: RegExp,
      more?: Record<string, string>,
    ])[] = [
      ['GET', '/authorize', page],
      ['POST', '/authorize', page],
      ['GET', '/interaction/x/login', page],
      ['GET', '/logout', page],
      ['GET', '/account', page],
      ['GET', '/userinfo', json],
      ['POST', '/userinfo', json],
      // By Fastify, as `Origin` makes it.
      ['GET', '/userinfo', json, { origin }],
      ['POST', '/register', json],
      ['GET', '/register/x', json],
      ['GET', '/api-keys', problem],
      ['POST', '/api-keys', problem],
    ]
    for (const [index, [method, path, type, more]] of places.entries()) {
      const headers = { 'x-forwarded-for': `192.0.${index}.1`, ...more }
      const ask = () => (method === 'GET' ? server.get(path, headers) : server.post(path, {}, headers))
      const first = await ask()
      t.not(first.statusCode, 429, path)
      const policy = '"each-network";q=10;w=10'
      t.same(fields(first), { policy, limit: '"each-network";r=0;t=1', retryAfter: undefined }, path)
      const refused = await ask()
      t.equal(refused.statusCode, 429, path)
      t.same(fields(refused), { policy, limit: '"each-network";r=0;t=1', retryAfter: '1' }, path)
      t.match(refused.headers['content-type'], type, path)
      t.equal(refused.headers['cache-control'], 'no-store')
      t.equal((await server.post('/token', form, headers)).statusCode, 429, 'and it is used up at the others')
    }
  },
)

t.test('a page of a registered origin reads why it is refused, and its preflight is not counted', async (t) => {
  const server = await createBoundServer(t, { network: 1 })
  await server.createClient({ token_endpoint_auth_method: 'none', allowed_origins: ['https://app.example'] })
  const origin = 'https://app.example'
  const preflight = { origin, 'access-control-request-method': 'GET' }
  for (let turn = 0; turn < 3; turn++) {
    const reply = await send(server.app, { method: 'OPTIONS', url: '/userinfo', headers: preflight })
    t.equal(reply.statusCode, 204)
  }
  const statuses = []
  for (let turn = 0; turn < 2; turn++) {
    const { statusCode, headers } = await server.get('/userinfo', { origin })
    statuses.push(statusCode)
    t.equal(headers['access-control-allow-origin'], origin)
    t.match(headers['access-control-expose-headers'], /RateLimit, RateLimit-Policy/)
  }
  t.same(statuses, [401, 429])
})

t.test(
  'not counted: documents that anybody may keep, what APIs ask with their token, and what gateways ask',
  async (t) => {
    const server = await createBoundServer(t, { network: 1, address: 1 })
    t.equal((await server.post('/token', form)).statusCode, 401, 'the network has used up what it has')
    t.equal((await server.post('/token', form)).statusCode, 429)
    const documents = ['/healthz', '/.well-known/openid-configuration', '/jwks', '/revocations', '/forward-auth/x']
    for (const path of documents) {
      for (let turn = 0; turn < 3; turn++) {
        const reply = await server.get(path)
        t.not(reply.statusCode, 429, path)
        t.not(reply.statusCode, 404, path)
        t.equal(fields(reply).policy, undefined, path)
      }
    }
    for (const path of ['/rate-limits', '/usage', '/leaks']) {
      const reply = await server.post(path, {})
      t.not(reply.statusCode, 429, path)
      t.equal(fields(reply).policy, undefined, path)
    }
  },
)

t.test('a burst that blocks are leased of costs no statement for each request, wherever it is counted', async (t) => {
  const server = await createBoundServer(t, { network: 1, address: 1 }, { TRUST_PROXY: 'loopback' })
  for (const tier of ['each-network', 'each-address']) {
    await updateTier(server.ctx, tier, { limit: 100_000, window: 60, burst: 10_000 }, by)
  }
  const ask = async (path: string) => (await server.get(path, { 'x-forwarded-for': '192.0.2.1' })).statusCode
  for (let turn = 0; turn < 150; turn++) for (const path of ['/userinfo', '/logout']) await ask(path)
  const statements = await statementsOf(server, async () => {
    for (let turn = 0; turn < 100; turn++) t.same([await ask('/userinfo'), await ask('/logout')], [401, 200])
  })
  const leases = statements.filter((name) => name.startsWith('rate_limits.'))
  t.ok(leases.length <= 6, `${leases.length} statements for 200 requests`)
})

t.test('a tier of users bounds the tokens of one, over all clients, and spends nothing that is refused', async (t) => {
  const server = await createBoundServer(t, { user: 3 })
  const { ctx } = server
  const [ada, bob] = [await server.createUser(), await server.createUser('bob@example.com')]
  const [one, two] = [
    await server.createClient({ ...application, scope: 'read offline_access' }),
    await server.createClient({ ...application, scope: 'read offline_access', token_endpoint_auth_method: 'none' }),
  ]
  const redeem = (client: TestClient, of: Record<string, string>) => postAs(server, client, '/token', of)
  const codeOf = async (client: TestClient, user: { readonly id: string }) =>
    (await issueCode(server, client, user.id, { scope: ['read'], resources: [api], offline: true })).form

  const first = await redeem(one, await codeOf(one, ada))
  t.equal(first.statusCode, 200)
  t.match(fields(first), { policy: '"each-user";q=10;w=10', limit: '"each-user";r=2;t=1' })
  t.equal((await redeem(two, await codeOf(two, ada))).statusCode, 200)
  const stolen = await codeOf(one, ada)
  t.equal((await redeem(two, stolen)).statusCode, 400, 'who has not proved anything uses up nothing of the user')
  const refreshing = { grant_type: 'refresh_token', refresh_token: first.json().refresh_token }
  const refreshed = await redeem(one, refreshing)
  t.equal(refreshed.statusCode, 200)
  t.match(fields(refreshed), { limit: '"each-user";r=0;t=3' })
  t.equal((await redeem(one, refreshing)).statusCode, 200, 'the same answer again is no further token')

  const code = await codeOf(one, ada)
  const next = { grant_type: 'refresh_token', refresh_token: refreshed.json().refresh_token }
  const owner = { kind: 'user', id: ada.id } as const
  const { text: subject_token = '' } = await createApiKey(ctx, { owner, name: 'x', scope: ['read'] }, by)
  const exchange = {
    ...{ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token },
    subject_token_type: 'urn:ostiary:params:oauth:token-type:api-key',
  }
  for (const asked of [code, next]) {
    const refused = await redeem(one, asked)
    t.equal(refused.statusCode, 429)
    t.match(fields(refused), { limit: '"each-user";r=0;t=3', retryAfter: '1' })
    t.notOk(refused.body.includes(ada.id))
  }
  t.equal((await server.post('/token', exchange)).statusCode, 429)
  t.equal((await redeem(one, await codeOf(one, bob))).statusCode, 200, 'another user')
  for (const asked of [code, next]) {
    server.clock.advance(1)
    t.equal((await redeem(one, asked)).statusCode, 200, 'it was not spent')
  }
  server.clock.advance(1)
  t.equal((await server.post('/token', exchange)).statusCode, 200)
  const service = await server.createService('read')
  for (let turn = 0; turn < 5; turn++) {
    t.same(fields(await redeem(service, form)), { policy: undefined, limit: undefined, retryAfter: undefined })
  }
})

t.test(
  'a setting names a tier that there is; one that is deleted all the same limits nothing, and costs nothing',
  async (t) => {
    const server = await createBoundServer(t, { network: 1, user: 5 })
    const { ctx } = server
    requireNamedTiers(ctx)
    await t.rejects(deleteTier(ctx, 'each-network', by), /^RATE_TIER_NETWORK names the tier each-network/)
    await sql(server, `DELETE FROM tier WHERE name = 'each-network'`)
    await server.refresh()
    t.throws(() => requireNamedTiers(ctx), /^RATE_TIER_NETWORK names the tier each-network, and there is none/)
    t.equal(server.logs.filter((line) => line.includes('the tier of a setting was deleted')).length, 1)
    const service = await server.createService('read')
    const ask = () => server.post('/token', form, { authorization: service.basic })
    await ask()
    const statements = await statementsOf(server, async () => {
      for (let turn = 0; turn < 3; turn++) t.equal((await ask()).statusCode, 200)
    })
    t.same(statements, [])
  },
)
