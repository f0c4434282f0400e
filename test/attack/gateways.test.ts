import t from 'tap'
import { createApiKey } from '../../src/api-keys/index.js'
import { createTestGateway } from '../support/gateways.js'
import { basicOf, createTestServer } from '../support/server.js'
import { postAs } from '../support/tokens.js'

const server = await createTestServer(t)
const { ctx } = server
const identifier = 'https://orders.example'
const other = 'https://other.example'
const api = await server.createResource(identifier, 'read write', { acceptsBasic: true })
await server.createResource(other, 'look')
const service = await server.createService('read write look')
const settings = { resource: identifier, scope: ['read'], forwardsAddress: true }
const orders = await createTestGateway(server, 'orders', settings)
const second = await createTestGateway(server, 'second', settings)
const open = await createTestGateway(server, 'open', { ...settings, accept: ['basic'] })
const elsewhere = await createTestGateway(server, 'elsewhere', { ...settings, resource: other, scope: ['look'] })

async function bearerFor(scope = 'read') {
  const reply = await postAs(server, service, '/token', { grant_type: 'client_credentials', scope })
  return { authorization: `Bearer ${reply.json().access_token}` }
}

t.test('whoever is no gateway is answered 400, and no caller is told anything', async (t) => {
  const bearer = await bearerFor()
  for (const [credential, name] of [
    [undefined, 'orders'],
    ['', 'orders'],
    [orders.basic.slice(0, -8), 'orders'],
    [second.basic, 'orders'],
    [service.basic, 'orders'],
    [api.basic, 'orders'],
    [bearer.authorization, 'orders'],
    [orders.basic, 'nothing'],
    [orders.basic, 'Orders'],
    [orders.basic, 'orders%2f'],
    [orders.basic, '%6frders'],
    [orders.basic, ''],
    [orders.basic, 'second/orders'],
    [orders.basic, 'orders;second'],
  ] as const) {
    const reply = await orders.ask({ ...bearer, 'x-gateway-authorization': credential }, { name })
    t.equal(reply.statusCode, 400, `${name} by ${credential?.slice(0, 12)}`)
    t.match(reply.headers['content-type'], 'application/problem+json')
    t.equal(reply.headers['www-authenticate'], undefined)
    t.equal(reply.headers['authorization'], undefined)
  }
  t.ok(server.logs.some((line) => line.includes('a gateway could not be authenticated')))
  t.ok((await server.audit('client.authentication_failed')).length > 0)
})

t.test('attack 123: of two credentials of the gateway one is from somebody else', async (t) => {
  const bearer = await bearerFor()
  const both = [orders.basic, orders.basic]
  t.equal((await orders.ask({ ...bearer, 'x-gateway-authorization': both })).statusCode, 400)
  for (const name of ['x-api-key', 'origin', 'authorization'] as const) {
    const reply = await orders.ask({ ...bearer, [name]: [bearer.authorization, bearer.authorization] })
    t.equal(reply.statusCode, 401, name)
  }
})

t.test('nothing that the caller says lowers what is required', async (t) => {
  const lacking = await bearerFor('write')
  for (const headers of [
    { 'x-original-uri': '/forward-auth/open?scope=write' },
    { 'x-original-method': 'OPTIONS', 'x-forwarded-method': 'OPTIONS' },
    { 'x-forwarded-uri': '/public', 'x-forwarded-host': 'other.example', 'x-forwarded-proto': 'https' },
    { host: 'other.example', 'x-original-url': '/health' },
    { 'x-scope': 'write', 'x-audience': other, scope: 'write' },
  ]) {
    for (const path of ['', '?scope=write&audience=https://other.example', '/public?accept=basic']) {
      t.equal((await orders.ask({ ...lacking, ...headers }, { path })).statusCode, 403)
      t.equal((await orders.ask({ ...headers, authorization: service.basic }, { path })).statusCode, 401)
    }
  }
})

t.test('attack 78: a token for another API is refused', async (t) => {
  const bearer = await bearerFor('look')
  t.equal((await orders.ask(bearer)).statusCode, 401)
  t.equal((await elsewhere.ask(bearer)).statusCode, 200)
  t.equal((await orders.ask(bearer)).statusCode, 401, 'also when another gateway has found it good')
})

t.test('attack 77: what is passed on is no access token, here or anywhere', async (t) => {
  const { headers } = await orders.ask(await bearerFor())
  const authorization = String(headers['authorization'])
  const token = authorization.replace('Bearer ', '')
  for (const asker of [api, service]) {
    t.same((await postAs(server, asker, '/introspect', { token })).json(), { active: false })
  }
  for (const gateway of [orders, second, elsewhere]) t.equal((await gateway.ask({ authorization })).statusCode, 401)
  t.equal((await server.get('/revocations', { authorization })).statusCode, 401)
  t.same((await postAs(server, orders, '/introspect', { token })).json(), { active: false }, 'nor to the gateway')
})

t.test('attack 113: a key or token in an address is refused, whatever else is shown', async (t) => {
  const owner = { kind: 'client', id: service.clientId } as const
  const { text = '' } = await createApiKey(ctx, { owner, name: 'Test', scope: ['read'] }, { actor: 'operator' })
  const bearer = await bearerFor()
  for (const query of [
    `?k=${text}`,
    '?access_token=x',
    '?a=1&api%5Fkey=x',
    `?x=oat_1_${'x'.repeat(43)}`,
    `?x=${text.replace('_', '%5F')}`,
  ]) {
    for (const name of ['x-original-uri', 'x-forwarded-uri'] as const) {
      const reply = await orders.ask({ ...bearer, [name]: `/orders${query}` })
      t.equal(reply.statusCode, 401, query.slice(0, 12))
      t.match(reply.headers['www-authenticate'], /error="invalid_request"/)
    }
    t.equal((await orders.ask(bearer, { path: `/orders${query}` })).statusCode, 401)
  }
  t.equal((await orders.ask({ ...bearer, 'x-original-uri': '/orders?page=2' })).statusCode, 200)
})

t.test(
  'attack 113: a key that an address holds encoded more than once is found, and reported as exposed',
  async (t) => {
    const owner = { kind: 'client', id: service.clientId } as const
    const bearer = await bearerFor()
    const encoded = (text: string) => text.replaceAll(/[^a-z]/gi, (each) => `%${each.charCodeAt(0).toString(16)}`)
    const ways: readonly ((text: string) => string)[] = [
      (text) => `k=${encoded(encoded(text))}`,
      (text) => encodeURIComponent(encodeURIComponent(`next=/orders?k=${text}`)),
      (text) => `q=my_key_${text}_is&page=2`,
      (text) => `q=${encodeURIComponent(`(${text})`)}`,
    ]
    for (const [index, way] of ways.entries()) {
      const { key, text = '' } = await createApiKey(
        ctx,
        { owner, name: 'Test', scope: ['read'] },
        { actor: 'operator' },
      )
      const address = `/orders?${way(text)}`
      const reply = await orders.ask({ ...bearer, 'x-original-uri': address })
      t.equal(reply.statusCode, 401, `${index}`)
      const exposed = await server.audit('api_key.exposed')
      t.ok(
        exposed.some(({ detail }) => detail?.['key'] === key.id),
        `${index}`,
      )
    }
    for (const query of [
      `k=${encoded(encoded(`sk_live_${'x'.repeat(65)}`))}`,
      'api%255Fkey=x',
      `x=${encoded(encoded('oat_'))}1_${'x'.repeat(43)}`,
    ]) {
      t.equal(
        (await orders.ask({ ...bearer, 'x-original-uri': `/orders?${query}` })).statusCode,
        401,
        query.slice(0, 20),
      )
    }
    const harmless = `/orders?q=${encodeURIComponent(encodeURIComponent('50 % of 100 % = a_b_c & more'))}`
    t.equal((await orders.ask({ ...bearer, 'x-original-uri': harmless })).statusCode, 200)
  },
)

t.test('attack 102: whoever guesses passwords through a gateway keeps out neither it nor others', async (t) => {
  const show = (authorization: string, from = '203.0.113.7') => open.ask({ authorization, 'x-forwarded-for': from })
  const statuses: number[] = []
  for (let index = 0; index < 12; index++) statuses.push((await show(service.basic.slice(0, -8))).statusCode)
  t.equal(statuses[0], 401)
  const last = await show(service.basic.slice(0, -8))
  t.equal(last.statusCode, 429)
  t.match(last.headers['retry-after'], /^\d+$/)
  for (const from of ['203.0.113.7', '198.51.100.7']) t.equal((await show(service.basic, from)).statusCode, 200, from)
})

t.test('attack 102: gateways that forward no address do not pay for the callers of each other', async (t) => {
  const secret = { client_secret: 'chosen by a person, and no shorter than it may be' }
  const person = await server.createClient(
    { redirect_uris: undefined, grant_types: ['client_credentials'], scope: 'read', ...secret },
    true,
  )
  const unsaid = { resource: identifier, scope: ['read'], forwardsAddress: false, accept: ['basic'] as const }
  const [one, two] = [
    await createTestGateway(server, 'unsaid', unsaid),
    await createTestGateway(server, 'unsaid-too', unsaid),
  ]
  const beside = await createTestServer(t, { beside: server })
  const show = async (gateway: typeof one, authorization: string, at = server) =>
    (await gateway.ask({ authorization, 'x-forwarded-for': '203.0.113.99' }, { at })).statusCode
  const wrong = basicOf(person.clientId, 'wrong')
  for (let guesses = 0; guesses < 10; guesses++) t.equal(await show(one, wrong), 401)
  for (const authorization of [wrong, person.basic]) t.equal(await show(one, authorization), 429, 'counted together')
  t.equal(await show(two, wrong), 401, 'by the name of the gateway')
  t.equal(await show(two, person.basic), 200)

  for (let guesses = 0; guesses < 90; guesses++) await show(one, basicOf(`nobody ${guesses}`, 'wrong'))
  const other = await server.createClient(
    { redirect_uris: undefined, grant_types: ['client_credentials'], scope: 'read', ...secret },
    true,
  )
  t.equal(await show(one, other.basic), 429, 'a gateway has the bound of a network')
  for (const authorization of [basicOf(other.clientId, 'wrong'), other.basic]) {
    t.equal(await show(one, authorization, beside), 429, 'over all processes')
  }
  for (const at of [server, beside]) t.equal(await show(two, other.basic, at), 200)
  const direct = await server.post('/token', { grant_type: 'client_credentials' }, { authorization: other.basic })
  t.equal(direct.statusCode, 200, 'nor does who comes by themselves')
  const unread = { authorization: other.basic, 'x-forwarded-for': 'unknown' }
  t.equal((await open.ask(unread)).statusCode, 200, 'nor is an address that cannot be read the same for all')
})
