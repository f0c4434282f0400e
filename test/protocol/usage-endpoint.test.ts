import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { drawApiKey } from '../../src/api-keys/format.js'
import { createApiKey, createExposureWatch, findApiKey, rotateApiKey } from '../../src/api-keys/index.js'
import { updateClient } from '../../src/clients/index.js'
import { createTier } from '../../src/limits/index.js'
import { usage } from '../../src/store/index.js'
import { createTestGateway } from '../support/gateways.js'
import { SeededRandom } from '../support/random.js'
import { createTestServer, registration, send, sql } from '../support/server.js'
import { statementsOf } from '../support/tokens.js'

const by = { actor: 'operator' }
const orders = 'https://orders.example'
const server = await createTestServer(t)
const { ctx, clock } = server
const api = await server.createResource(orders, 'read write', { acceptsBasic: true })
const other = await server.createResource('https://other.example', 'look')
const service = await server.createService('read write look')
const owner = { kind: 'client', id: service.clientId } as const

async function makeKey(more: Partial<Parameters<typeof createApiKey>[1]> = {}) {
  const { key, text = '' } = await createApiKey(ctx, { owner, name: 'Test', scope: ['read'], ...more }, by)
  return { id: key.id, text }
}

async function tokenOf({ basic }: { readonly basic: string }): Promise<string> {
  const form = { grant_type: 'client_credentials', scope: 'revocations' }
  return (await server.post('/token', form, { authorization: basic })).json().access_token
}
const token = await tokenOf(api)
const report = (form: Record<string, string | readonly string[]>, as = token) =>
  server.post('/usage', form, { authorization: `Bearer ${as}` })

async function totals(credential: string, kind: 'api_key' | 'client' = 'api_key') {
  await ctx.usage.flush()
  const since = new Date(clock.now().getTime() - 86_400_000)
  return usage.totals(ctx.db, { kind, credentials: [credential], since, now: clock.now() })
}
const exposedEvents = () =>
  sql(server, `SELECT client_id, actor, detail FROM audit_event WHERE type = 'api_key.exposed'`)

t.test('an API reports uses of its keys; nothing is written for a report', async (t) => {
  const { id } = await makeKey()
  await report({})
  const lines = [
    `api_key ${id} accepted 12 3 0 192.0.2.0/24 read`,
    `api_key ${id} accepted 2 0 0 2001:db8::/64 read write unknown`,
    `api_key ${id} insufficient_scope 1 0 0 - write`,
  ]
  let answer: Awaited<ReturnType<typeof report>> | undefined
  const statements = await statementsOf(server, async () => {
    answer = await report({ use: lines })
  })
  t.equal(answer?.statusCode, 202)
  t.same(answer?.json(), { counted: 3 })
  t.same(
    statements.filter((name) => name.startsWith('usage')),
    [],
  )
  t.match(await totals(id), [
    { api: orders, scope: '', outcome: 'accepted', count: 14 },
    { scope: '', outcome: 'insufficient_scope', count: 1 },
    { scope: 'read', outcome: 'accepted', count: 14 },
    { scope: 'write', outcome: 'accepted', count: 2 },
    { scope: 'write', outcome: 'insufficient_scope', count: 1 },
  ])
  await ctx.apiKeyUse.flush()
  t.match(await findApiKey(ctx, id), { lastUsedAt: clock.now(), lastUsedFrom: '2001:db8::/64' })
})

t.test('an API says nothing of keys that are not for it, and none can be made up', async (t) => {
  const { id, text } = await makeKey()
  const elsewhere = await makeKey({ scope: ['look'] })
  const stranger = await tokenOf(other)
  const line = (key: string) => `api_key ${key} accepted 1 0 0 192.0.2.0/24 read`
  t.same((await report({ use: [line(id), line(elsewhere.id)] }, stranger)).json(), { counted: 1 })
  t.same((await report({ use: line('0'.repeat(16)), exposed: [text] }, stranger)).json(), { counted: 0 })
  t.same(await totals(id), [])
  t.match(await totals(elsewhere.id), [{ api: 'https://other.example', scope: '' }], 'nor of scopes of another API')
  t.equal((await findApiKey(ctx, id)).exposedAt, undefined)
  t.same((await report({ use: `client ${api.clientId} accepted 1 0 0 - read` })).json(), { counted: 0 })
  t.same((await report({ use: `client ${service.clientId} accepted 1 0 0 - read` })).json(), { counted: 1 })
})

t.test('only an API may report, by its own token', async (t) => {
  t.equal((await server.post('/usage', {})).statusCode, 401)
  t.equal((await report({}, 'wrong')).statusCode, 401)
  const form = { grant_type: 'client_credentials', scope: 'read' }
  const { access_token } = (await server.post('/token', form, { authorization: service.basic })).json()
  t.ok([401, 403].includes((await report({}, access_token)).statusCode))
})

t.test('a malformed line keeps back no other, and too many are refused', async (t) => {
  const { id } = await makeKey()
  const shown = await makeKey()
  const good = `api_key ${id} accepted 1 0 0 - read`
  const malformed = [
    ...[`api_key ${id}`, `api_key ${id} accepted 0 0 0 -`, `api_key ${id} accepted -1 0 0 -`],
    ...[`token ${id} accepted 1 0 0 -`, `api_key ${id} exchanged 1 0 0 -`, `api_key ${id} accepted 1 0 2 -`],
    ...[`api_key ${id} accepted 1 0 0 192.0.2.7`, `api_key ${id} accepted 1 0 0 192.0.2.7/24`],
    ...[`api_key ${id} accepted 1 0 0 192.0.2.7/32`, `api_key ${id} accepted 1 0 0 - re"ad`, `${good}  write`],
    ...[`api_key ${id} accepted 9999999999 0 0 -`, `api_key ${id}' accepted 1 0 0 -`],
    ...[`client ${'c'.repeat(256)} accepted 1 0 0 -`, 'client a b accepted 1 0 0 -', 'client ü accepted 1 0 0 -'],
  ]
  const reply = await report({ use: [...malformed, good], exposed: ['x', shown.text] })
  t.match([reply.statusCode, reply.json()], [202, { counted: 1 }])
  t.match(await findApiKey(ctx, shown.id), { exposedAt: clock.now() })
  t.equal((await report({ use: Array.from({ length: 201 }, () => good) })).statusCode, 400)
  t.equal((await report({ exposed: Array.from({ length: 21 }, () => 'x') })).statusCode, 400)
  t.equal((await report({ use: good, uncounted: '-1' })).statusCode, 400)
  t.match(await totals(id), [{ scope: '', count: 1 }, { scope: 'read' }])
})

t.test('a client is counted by any client_id that may be registered', async (t) => {
  const odd = `${'odd/:@!~"'.repeat(20)}'\\`
  await server.createService('read', { client_id: odd })
  const { id } = await makeKey()
  const reply = await report({ use: [`client ${odd} accepted 1 0 0 - read`, `api_key ${id} accepted 1 0 0 - read`] })
  t.same(reply.json(), { counted: 2 })
  t.match(await totals(odd, 'client'), [{ outcome: 'accepted', count: 1 }, { scope: 'read' }])
})

t.test('a report that failed is sent again, so nothing of it is counted before it is whole', async (t) => {
  const { id, text } = await makeKey()
  const use = [`api_key ${id} accepted 1 0 0 - read`, `client ${service.clientId} accepted 1 0 0 - read`]
  const before = (await totals(service.clientId, 'client')).length
  const { query, transaction } = ctx.db
  const fail = () => Promise.reject(new Error('it fails'))
  const broken: readonly Partial<typeof ctx.db>[] = [
    { transaction: fail },
    { query: (name, ...rest) => (name === 'clients.list_reaching' ? fail() : query(name, ...rest)) },
  ]
  for (const each of broken) {
    Object.assign(ctx.db, each)
    t.equal((await report({ use, exposed: [text] })).statusCode, 500)
    Object.assign(ctx.db, { query, transaction })
    t.same(await totals(id), [])
  }
  t.equal((await totals(service.clientId, 'client')).length, before)
  t.equal((await report({ use })).statusCode, 202)
  t.match(await totals(id), [{ scope: '', count: 1 }, { scope: 'read' }])
})

t.test('a report asks once for its keys and once for its clients, however many', async (t) => {
  const clients = Array.from({ length: 100 }, (_, n) => `client made-up-${n} accepted 1 0 0 - read`)
  const keys = await Promise.all(Array.from({ length: 10 }, () => makeKey()))
  const use = [...clients, ...keys.map(({ id }) => `api_key ${id} accepted 1 0 0 - read`)]
  await report({ exposed: [keys[0]!.text] })
  const statements = await statementsOf(server, async () => {
    t.same((await report({ use, exposed: [keys[0]!.text] })).json(), { counted: 10 })
  })
  t.same(
    new Set(statements),
    new Set(['api_keys.find', 'clients.list_reaching']),
    'what is marked costs no transaction',
  )
  t.equal(statements.filter((name) => name === 'clients.list_reaching').length, 1)
  t.ok(statements.length <= 3)
})

t.test('an API is limited by the tier of its client, as others are', async (t) => {
  await createTier(ctx, 'reports', { limit: 2, window: 60, burst: 2 }, by)
  const limited = await server.createResource('https://limited.example', 'see')
  const own = await tokenOf(limited)
  await updateClient(ctx, limited.clientId, { rate_tier: 'reports' }, registration)
  await server.refresh()
  for (let turn = 0; turn < 2; turn++) t.equal((await report({}, own)).statusCode, 202)
  const refused = await report({}, own)
  t.match([refused.statusCode, refused.headers['retry-after']], [429, /^\d+$/])
})

t.test('a key that stood in an address is marked once, and its owner told', async (t) => {
  const { id, text } = await makeKey()
  t.equal((await report({ exposed: [text, text] })).statusCode, 202)
  t.same((await findApiKey(ctx, id)).exposedAt, clock.now())
  clock.advance(10)
  await report({ exposed: [text] })
  const events = (await exposedEvents()).filter(({ detail }) => detail.key === id)
  t.match(events, [{ client_id: service.clientId, actor: `client:${api.clientId}`, detail: { key: id, api: orders } }])
  t.equal(events.length, 1)
  const { key } = await rotateApiKey(ctx, id, { by })
  t.equal(key.exposedAt, undefined, 'its successor is not')
})

t.test('attack 113: an API marks no key of which it knows the id alone, nor one that signs', async (t) => {
  const { id, text } = await makeKey()
  const made = drawApiKey(new SeededRandom('guess'), { prefix: 'sk', environment: 'live', id })
  const { publicKey } = generateKeyPairSync('ed25519')
  const signing = await makeKey({ kind: 'signing', publicJwk: publicKey.export({ format: 'jwk' }) as never })
  const count = (await exposedEvents()).length
  const reply = await report({ exposed: [id, made, signing.id, text.slice(0, -1)] })
  t.equal(reply.statusCode, 202, 'and what else it says is taken')
  for (const each of [id, signing.id]) t.equal((await findApiKey(ctx, each)).exposedAt, undefined)
  t.equal((await exposedEvents()).length, count)
  await report({ exposed: [text] })
  t.equal((await exposedEvents()).length, count + 1)
  t.notOk(server.logs.some((line) => line.includes(text.slice(-40))))
})

t.test(
  'attack 113: a key in the query of our own endpoints is refused, and reported where it is a good one',
  async (t) => {
    const first = (await exposedEvents()).length
    const { id, text } = await makeKey()
    const made = drawApiKey(new SeededRandom('made up'), { prefix: 'sk', environment: 'live', id })
    const ask = (query: string) =>
      send(server.app, {
        ...{ method: 'POST', url: `/token?${query}`, payload: 'grant_type=client_credentials' },
        headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: service.basic },
      })
    t.equal((await ask(`k=${made}`)).statusCode, 400)
    t.equal((await exposedEvents()).length, first, 'who knows an id alone marks nothing')
    for (const query of [`k=${text}`, `subject_token=${text}`, `u=${encodeURIComponent(`https://x/?k=${text}`)}`]) {
      t.match(await ask(query), { statusCode: 400 }, query.slice(0, 10))
    }
    t.match(await findApiKey(ctx, id), { exposedAt: clock.now() })
    t.equal((await exposedEvents()).length, first + 1)
    t.notOk(JSON.stringify(await exposedEvents()).includes(text.slice(-40)))
  },
)

t.test(
  'attack 113: so it is at every endpoint that a token opens, in path and query, and several at once',
  async (t) => {
    const all = ['/revocations?k=', '/revocations/snapshot?after=', '/usage?', '/rate-limits?x=', '/leaks?token=']
    all.push('/api-keys?q=', '/api-keys/')
    const keys = await Promise.all(all.map(() => makeKey()))
    const ask = (url: string) =>
      send(server.app, { method: /^\/(?:usage|rate-limits|leaks)/.test(url) ? 'POST' : 'GET', url })
    const replies = await Promise.all(all.map((path, index) => ask(`${path}${keys[index]!.text}`)))
    for (const [index, { id, text }] of keys.entries()) {
      const path = all[index]!
      t.equal(replies[index]?.statusCode, 400, path)
      t.notOk(replies[index]?.body.includes(text.slice(-40)))
      t.match(await findApiKey(ctx, id), { exposedAt: clock.now() }, path)
    }
    const { id } = await makeKey()
    const made = drawApiKey(new SeededRandom('again'), { prefix: 'sk', environment: 'live', id })
    t.equal((await ask(`/api-keys?q=${made}`)).statusCode, 400)
    t.equal((await findApiKey(ctx, id)).exposedAt, undefined, 'who knows an id alone marks nothing')
    t.equal(
      (await ask(`/api-keys?q=${id}&cursor=${'a_b-'.repeat(40)}`)).statusCode,
      401,
      'what is no key is let through',
    )
    t.notOk(server.logs.some((line) => keys.some(({ text }) => line.includes(text.slice(-40)))))
  },
)

t.test('a few keys in addresses wait to be looked at, each once; more of them are let go', async (t) => {
  const look = createExposureWatch(ctx)
  const keys = await Promise.all(Array.from({ length: 10 }, () => makeKey()))
  const statements = await statementsOf(server, async () => {
    await Promise.all([...keys, ...keys].map(({ text }) => look([`/x?k=${text}`], {})))
  })
  t.equal(statements.filter((name) => name === 'api_keys.find').length, 8)
  const marked = await Promise.all(keys.map(async ({ id }) => (await findApiKey(ctx, id)).exposedAt !== undefined))
  t.same(marked, [...Array(8).fill(true), false, false])
  await look([`/x?k=${keys[9]!.text}`], {})
  t.match(await findApiKey(ctx, keys[9]!.id), { exposedAt: clock.now() })
})

t.test('a gateway: each request is a use, also a remembered one; what is exposed is reported', async (t) => {
  const settings = { resource: orders, scope: ['read'], accept: ['api-key', 'basic'] as const, forwardsAddress: true }
  const gateway = await createTestGateway(server, 'front', settings)
  const { id, text } = await makeKey({ networks: ['192.0.2.0/24'] })
  const from = (address: string) => ({ 'x-api-key': text, 'x-forwarded-for': address })
  await gateway.ask(from('192.0.2.1'))
  const statements = await statementsOf(server, async () => {
    for (let turn = 0; turn < 4; turn++) t.equal((await gateway.ask(from('192.0.2.9'))).statusCode, 200)
  })
  t.same(statements, [], 'and costs no statement')
  t.equal((await gateway.ask(from('198.51.100.1'))).statusCode, 401)
  t.match(
    (await totals(id)).filter(({ scope }) => scope === ''),
    [
      { api: orders, outcome: 'accepted', count: 5 },
      { api: orders, outcome: 'network', count: 1 },
    ],
  )
  await ctx.apiKeyUse.flush()
  t.match(await findApiKey(ctx, id), { lastUsedFrom: '192.0.2.0/24' })
  await gateway.ask({ authorization: service.basic })
  t.match(
    (await totals(service.clientId, 'client')).filter(
      ({ api: at, outcome }) => at === orders && outcome === 'accepted',
    ),
    [{ scope: '' }, { scope: 'read' }],
  )
  t.equal((await gateway.ask({ 'x-original-uri': `/orders?key=${text}` })).statusCode, 401)
  t.match(await findApiKey(ctx, id), { exposedAt: clock.now() })
})

t.test('exchanges and tokens of clients are counted by what was granted; a second costs no statement', async (t) => {
  const { id, text } = await makeKey({ scope: ['read', 'write'] })
  const exchange = (scope: string) =>
    server.post('/token', {
      ...{ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: text, scope },
      subject_token_type: 'urn:ostiary:params:oauth:token-type:api-key',
    })
  await exchange('read')
  await exchange('read write')
  t.match(await totals(id), [
    { api: orders, outcome: 'exchanged', scope: '', count: 2 },
    { outcome: 'exchanged', scope: 'read', count: 2 },
    { outcome: 'exchanged', scope: 'write', count: 1 },
  ])
  const form = { grant_type: 'client_credentials', scope: 'look' }
  const issue = () => server.post('/token', form, { authorization: service.basic })
  await issue()
  t.same(await statementsOf(server, issue), [])
  const found = (await totals(service.clientId, 'client')).filter(({ outcome }) => outcome === 'client_credentials')
  t.match(
    found.filter(({ scope }) => scope === 'look'),
    [{ api: 'https://other.example', count: 2 }],
  )
  await server.post('/introspect', { token: text }, { authorization: api.basic })
  t.match(
    (await totals(id)).filter(({ outcome }) => outcome === 'introspected'),
    [{ scope: '', count: 1 }],
  )
})

t.test(
  'GET /api-keys/ID/usage: its owner sees who uses it, and who is still on the old one; nobody else',
  async (t) => {
    const manager = await server.createService('read api_keys')
    const grant = { grant_type: 'client_credentials', scope: 'api_keys' }
    const bearer = async (client: { readonly basic: string }) => {
      const reply = await server.post('/token', grant, { authorization: client.basic })
      return { authorization: `Bearer ${reply.json().access_token}` }
    }
    const { id } = await makeKey({ owner: { kind: 'client', id: manager.clientId } })
    await report({ use: `api_key ${id} accepted 2 0 0 192.0.2.0/24 read` })
    await rotateApiKey(ctx, id, { by })
    await report({ use: `api_key ${id} accepted 3 0 1 198.51.100.0/24 read` })
    await ctx.usage.flush()
    const get = async (query = '', client = manager) =>
      send(server.app, { method: 'GET', url: `/api-keys/${id}/usage${query}`, headers: await bearer(client) })
    const answer = await get()
    t.equal(answer.statusCode, 200)
    t.match(answer.json(), {
      id,
      uses: [{ api: orders, outcome: 'accepted', count: 5, scopes: { read: 5 } }],
      networks: [
        { network: '198.51.100.0/24', count: 3, days: 1 },
        { network: '192.0.2.0/24', count: 2 },
      ],
      adoption: { id, uses: 3, callers: [{ network: '198.51.100.0/24', api: orders, count: 3 }], successor_uses: 0 },
    })
    t.equal((await get('?days=91')).statusCode, 400)
    t.equal((await get('?days=30&by=hour')).statusCode, 200)
    const stranger = await server.createService('read api_keys')
    t.equal((await get('', stranger)).statusCode, 404)
  },
)
