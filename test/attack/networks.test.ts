import t from 'tap'
import { updateClient } from '../../src/clients/index.js'
import { createUser, updateUser } from '../../src/identity/index.js'
import { updateResource } from '../../src/resources/index.js'
import { authorizationUrl, logIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { createTestGateway } from '../support/gateways.js'
import { issueCode } from '../support/grants.js'
import { createTestServer, encodeForm, registration, send, type TestServer } from '../support/server.js'
import { apiIdentifier, application, codeFor, openScene } from '../support/tokens.js'

const scene = await openScene(t)
const { server, client } = scene
const { ctx } = server
/** The same installation behind a proxy on its own machine. */
const behind = await createTestServer(t, { beside: server, env: { TRUST_PROXY: '127.0.0.1' } })
await behind.refresh()
const by = { actor: 'operator' }
const networks = ['192.0.2.0/24', '2001:db8:0:1::/64']
const form = { grant_type: 'client_credentials' }

interface Way {
  readonly from?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly at?: TestServer
}

/** POST of a form from an address; what has a query goes by Fastify, what has none by the direct way. */
function post(path: string, fields: Readonly<Record<string, string>>, { from, headers, at = server }: Way = {}) {
  return send(at.app, {
    method: 'POST',
    url: path,
    remoteAddress: from ?? '127.0.0.1',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: encodeForm(fields),
  })
}

t.test('a client proves itself from its networks alone, by every way and at every endpoint', async (t) => {
  const service = await server.createService('read', { allowed_networks: networks })
  const authorization = service.basic
  for (const from of [
    '192.0.2.7',
    '::ffff:192.0.2.7',
    '::FFFF:C000:207',
    '2001:db8:0:1:ffff::7',
    '2001:DB8::1:0:0:0:1',
  ]) {
    for (const path of ['/token', '/token?a=b']) {
      t.equal((await post(path, form, { from, headers: { authorization } })).statusCode, 200, `${from} ${path}`)
    }
  }
  const elsewhere = ['192.0.3.1', '::ffff:192.0.3.1', '2001:db8:0:2::7', '::192.0.2.7', '64:ff9b::192.0.2.7', '::1']
  for (const from of elsewhere) {
    for (const [path, fields] of [
      ['/token', form],
      ['/token?a=b', form],
      ['/introspect', { token: 'x' }],
      ['/revoke', { token: 'x' }],
    ] as const) {
      const reply = await post(path, fields, { from, headers: { authorization } })
      t.match([reply.statusCode, reply.json().error], [401, 'invalid_client'], `${from} ${path}`)
      t.match(reply.headers['www-authenticate'], /^Basic /)
    }
  }
  t.match(await server.audit('client.authentication_failed'), [
    { clientId: service.clientId, reason: 'client_network' },
  ])
})

t.test('a secret that is right elsewhere looks like a wrong one, and counts like one', async (t) => {
  const ask = async (from: string, secret: string) => {
    const service = await server.createService('read', { allowed_networks: networks })
    const authorization = `Basic ${Buffer.from(`${service.clientId}:${secret || service.clientSecret}`).toString('base64')}`
    const answers = []
    for (let attempt = 0; attempt < 11; attempt++) {
      const { statusCode, body } = await post('/token', form, { from, headers: { authorization } })
      answers.push([statusCode, body])
    }
    return answers
  }
  const right = await ask('203.0.113.7', '')
  t.same(right, await ask('203.0.114.7', 'wrong'), 'RFC 6749 §5.2: one answer')
  t.same([right[0]?.[0], right[10]?.[0]], [401, 429])
})

t.test(
  'an API that hands a password on says where it was shown; only there it is right, and unknown is nowhere',
  async (t) => {
    const api = await server.createResource('https://networks.example', 'look', { acceptsBasic: true })
    const service = await server.createService('look', { allowed_networks: networks })
    const exchange = (address?: string, secret = service.clientSecret) => {
      const fields = {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: Buffer.from(`${service.clientId}:${secret}`).toString('base64'),
        subject_token_type: 'urn:ostiary:params:oauth:token-type:basic-credentials',
        ...(address === undefined ? {} : { subject_address: address }),
      }
      return post('/token', fields, { from: '192.0.2.1', headers: { authorization: api.basic } })
    }
    for (const near of ['192.0.2.7', '::ffff:192.0.2.7']) t.equal((await exchange(near)).statusCode, 200, near)
    const wrong = await exchange('192.0.2.7', 'wrong')
    t.equal(wrong.statusCode, 400)
    for (const far of [undefined, '203.0.113.7', '192.0.2.7, 203.0.113.7', 'localhost', '0.0.0.0', 'x'.repeat(200)]) {
      const { statusCode, body } = await exchange(far)
      t.same([statusCode, body], [wrong.statusCode, wrong.body], far ?? 'none')
    }
    const reasons = (await server.audit('client.authentication_failed'))
      .filter(({ clientId }) => clientId === service.clientId)
      .map(({ reason }) => reason)
    t.same(new Set(reasons), new Set(['client_network', 'client_secret_wrong']))
    for (let attempt = 0; attempt < 3; attempt++) await exchange('203.0.113.7')
    t.equal((await exchange('203.0.113.8')).statusCode, 429, 'counted as wrong ones are')
  },
)

t.test('attack 101: a forwarded address counts only from a proxy that is trusted', async (t) => {
  const service = await server.createService('read', { allowed_networks: networks })
  const headers = (more: Readonly<Record<string, string>>) => ({ authorization: service.basic, ...more })
  const near = '192.0.2.7'
  const forged: readonly Readonly<Record<string, string>>[] = [
    { 'x-forwarded-for': near },
    { 'x-forwarded-for': `${near}, 127.0.0.1` },
    { forwarded: `for=${near}` },
    { 'x-real-ip': near },
    { 'cf-connecting-ip': near, 'true-client-ip': near },
  ]
  for (const more of forged) {
    for (const path of ['/token', '/token?a=b']) {
      const from = `198.51.100.${Object.keys(more).length}`
      t.equal((await post(path, form, { from, headers: headers(more) })).statusCode, 401, JSON.stringify(more))
    }
  }
  const status = async (forwarded: string, from?: string) => {
    const way = { at: behind, headers: headers({ 'x-forwarded-for': forwarded }), ...(from ? { from } : {}) }
    return (await post('/token', form, way)).statusCode
  }
  t.equal(await status(near), 200)
  t.equal(await status(`::ffff:${near}`), 200)
  t.equal(await status('2001:db8:0:1::9%eth0'), 200, 'a zone is of whoever wrote it, not of the address')
  t.equal(await status(`${near}, 203.0.113.9`), 401, 'the last that the proxy did not write itself')
  t.equal(await status(near, '203.0.113.10'), 401, 'past the proxy')
})

t.test('codes and refresh tokens, of public clients too', async (t) => {
  for (const method of ['none', 'client_secret_basic']) {
    const limited = await server.createClient({
      ...application,
      token_endpoint_auth_method: method,
      allowed_networks: networks,
    })
    const own: Record<string, string> = method === 'none' ? { client_id: limited.clientId } : {}
    const headers: Record<string, string> = method === 'none' ? {} : { authorization: limited.basic }
    const issued = await codeFor({ ...scene, client: limited })
    const redeem = (from: string) => post('/token', { ...own, ...issued.form }, { from, headers })
    t.equal((await redeem('198.51.100.20')).statusCode, 401)
    const tokens = await redeem('192.0.2.20')
    t.equal(tokens.statusCode, 200, 'nothing was spent')
    const { refresh_token } = tokens.json()
    const refresh = { ...own, grant_type: 'refresh_token', refresh_token }
    t.equal((await post('/token', refresh, { from: '198.51.100.20', headers })).statusCode, 401)
    t.equal((await post('/token', refresh, { from: '192.0.2.20', headers })).statusCode, 200)
  }
})

t.test('a change holds at once, and what was remembered of the client is read again', async (t) => {
  const service = await server.createService('read')
  const status = async (from: string) =>
    (await post('/token', form, { from, headers: { authorization: service.basic } })).statusCode
  t.equal(await status('198.51.100.30'), 200)
  await updateClient(ctx, service.clientId, { allowed_networks: ['192.0.2.0/24'] }, registration)
  t.equal(await status('198.51.100.30'), 401)
  await updateClient(ctx, service.clientId, { allowed_networks: ['198.51.100.0/24'] }, registration)
  t.equal(await status('198.51.100.30'), 200)
  await updateClient(ctx, service.clientId, { allowed_networks: null }, registration)
  t.equal(await status('203.0.113.30'), 200)
})

t.test('what is no network is not registered, and its message says what is', async (t) => {
  const register = (allowed_networks: unknown) => server.createService('read', { allowed_networks })
  const bad = ['192.0.2.7/24', '192.0.2.0/33', '2001:db8::/129', '2001:db8::1/64', 'fe80::1%eth0', 'localhost', '*', '']
  for (const each of bad) {
    await t.rejects(register([each]), {
      code: 'invalid_client_metadata',
      message: /not a network, such as 192\.0\.2\.0\/24/,
    })
    const user = { email: 'nobody@example.com', allowedNetworks: [each] }
    await t.rejects(createUser(ctx, user, by), { message: /is not a network, such as 192\.0\.2\.0\/24/ })
  }
  await t.rejects(register([]), /is empty/)
  const { clientId } = await register(['::ffff:192.0.2.0/120', '2001:DB8:0:1:0::/64', '192.0.2.0/24'])
  t.same((await ctx.clients.find(clientId))?.allowedNetworks, ['192.0.2.0/24', '2001:db8:0:1::/64'], 'in one spelling')
})

t.test('a gateway, and the service account in front of it, each from where they are', async (t) => {
  const service = await server.createService('read', { allowed_networks: ['192.0.2.0/24'] })
  await updateResource(ctx, apiIdentifier, { acceptsBasic: true }, { by })
  const settings = { resource: apiIdentifier, scope: ['read'], accept: ['basic'] }
  const gateway = await createTestGateway(server, 'near', { ...settings, forwardsAddress: true })
  const ask = async (forwarded: string, at = gateway) =>
    (await at.ask({ authorization: service.basic, 'x-forwarded-for': forwarded })).statusCode
  t.equal(await ask('192.0.2.40'), 200)
  t.equal(await ask('192.0.2.40, 203.0.113.40'), 401, 'also where the right one was remembered')
  const blind = await createTestGateway(server, 'blind', settings)
  t.equal(await ask('192.0.2.40', blind), 401, 'whose callers have no address')
  await updateClient(ctx, gateway.clientId, { allowed_networks: ['203.0.113.0/24'] }, registration)
  t.equal(await ask('192.0.2.40'), 400, 'the gateway itself is somewhere else')
  const refused = await server.audit('client.authentication_failed')
  t.ok(refused.some(({ clientId, reason }) => clientId === gateway.clientId && reason === 'client_network'))
})

const person = { email: 'root@example.com', password: 'a long enough password' }
const { id: rootId } = await createUser(ctx, { ...person, admin: true, allowedNetworks: networks }, by)
const portal = await server.createClient({ ...application, scope: 'api_keys', first_party: true })

t.test('an administrator signs in from their networks alone, and hears why only with the right password', async (t) => {
  const far = new TestBrowser(server, { ip: '198.51.100.50' })
  const page = await far.open(authorizationUrl(portal))
  const wrong = await logIn(far, page, { ...person, password: 'not the password' })
  t.match([wrong.status, wrong.step], [200, 'login'])
  t.notMatch(wrong.text, 'network')
  const right = await logIn(far, wrong, person)
  t.equal(right.status, 403)
  t.match(right.text, 'may not be used from the network')
  t.notOk(far.cookies.has('session'))
  const reasons = (await server.audit('login.failed')).map(({ reason }) => reason)
  t.same(new Set(reasons), new Set(['password_wrong', 'account_network']))
  const near = new TestBrowser(server, { ip: '2001:db8:0:1::50' })
  const { answer } = await logIn(near, await near.open(authorizationUrl(portal)), person)
  t.ok(answer['code'])
})

t.test('a session that is used from elsewhere is none, and is one again where it was', async (t) => {
  const near = new TestBrowser(server, { ip: '192.0.2.60' })
  await logIn(near, await near.open(authorizationUrl(portal)), person)
  t.ok((await near.open(authorizationUrl(portal))).answer['code'])
  const stolen = new TestBrowser(server, { ip: '198.51.100.60' })
  for (const [name, cookie] of near.cookies) stolen.cookies.set(name, cookie)
  const page = await stolen.open(authorizationUrl(portal), {
    'x-forwarded-for': '192.0.2.60',
    forwarded: 'for=192.0.2.60',
  })
  t.equal(page.step, 'login')
  const silent = await stolen.open(authorizationUrl(portal, { prompt: 'none' }))
  t.match(silent.answer, { error: 'login_required' })
  t.match(await server.audit('session.refused'), [{ subject: rootId, reason: 'account_network', ip: '198.51.100.60' }])
  t.ok((await near.open(authorizationUrl(portal))).answer['code'])

  await updateUser(ctx, rootId, { allowedNetworks: ['198.51.100.0/24'] }, by)
  t.equal((await near.open(authorizationUrl(portal))).step, 'login', 'from the next request on')
  await updateUser(ctx, rootId, { allowedNetworks: networks }, by)
  t.match(await server.audit('user.updated'), [
    { subject: rootId, detail: { changed: ['allowed_networks'] } },
    { subject: rootId },
  ])
})

t.test('an administrator’s token manages keys from their networks alone', async (t) => {
  const issued = await issueCode(server, portal, rootId, { scope: ['api_keys'] })
  const reply = await post('/token', issued.form, { headers: { authorization: portal.basic } })
  const authorization = `Bearer ${reply.json().access_token}`
  const list = (from: string, more: Readonly<Record<string, string>> = {}) =>
    send(server.app, {
      method: 'GET',
      url: '/api-keys',
      remoteAddress: from,
      headers: { authorization, ...more },
    })
  t.equal((await list('192.0.2.70')).statusCode, 200)
  const fields: readonly Readonly<Record<string, string>>[] = [
    {},
    { 'x-forwarded-for': '192.0.2.70' },
    { forwarded: 'for=192.0.2.70' },
  ]
  for (const more of fields) {
    const refused = await list('198.51.100.70', more)
    t.match([refused.statusCode, refused.json().type], [403, 'urn:ostiary:problem:forbidden'])
  }
  t.match(await server.audit('api_keys.refused'), [{ actor: `user:${rootId}`, reason: 'account_network', count: 3 }])
})

t.test('a token that a client has for itself is no way around its networks', async (t) => {
  const service = await server.createService('api_keys', { allowed_networks: networks })
  const fields = { ...form, scope: 'api_keys' }
  const reply = await post('/token', fields, { from: '192.0.2.80', headers: { authorization: service.basic } })
  const authorization = `Bearer ${reply.json().access_token}`
  const list = (remoteAddress: string) =>
    send(server.app, { method: 'GET', url: '/api-keys', remoteAddress, headers: { authorization } })
  t.equal((await list('192.0.2.80')).statusCode, 200)
  t.equal((await list('198.51.100.80')).statusCode, 401)
  t.match(await server.audit('token.refused'), [{ clientId: service.clientId, reason: 'client_network' }])
})

t.test('whoever signs in where another was signed in ends that, also outside of the other’s networks', async (t) => {
  const near = new TestBrowser(server, { ip: '192.0.2.61' })
  await logIn(near, await near.open(authorizationUrl(portal)), person)
  const away = new TestBrowser(server, { ip: '198.51.100.61' })
  for (const [name, cookie] of near.cookies) away.cookies.set(name, cookie)
  const other = await server.createUser('another@example.com')
  await logIn(away, await away.open(authorizationUrl(portal)), other)
  t.equal((await near.open(authorizationUrl(portal))).step, 'login')
  t.match(await server.audit('session.revoked'), [{ subject: rootId, reason: 'session_replaced' }])
})

t.test('whoever has no networks is as before', async (t) => {
  const reply = await post(
    '/token',
    { ...(await codeFor(scene)).form },
    {
      from: '203.0.113.80',
      headers: { authorization: client.basic },
    },
  )
  t.equal(reply.statusCode, 200)
})
