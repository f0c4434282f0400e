import t from 'tap'
import { clientLogoPath } from '../../src/interaction/consent/client-logo.route.js'
import { createOutbound } from '../../src/platform/outbound/index.js'
import { authorizationUrl, logIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { hang, openReceiver, status } from '../support/receiver.js'
import { ask, metadata, register, registered } from '../support/registration.js'
import { createTestServer, sql, type TestServer } from '../support/server.js'

/** Names and where they lead. */
const names: Readonly<Record<string, readonly string[]>> = {
  'inside.example': ['10.0.0.7'],
  'half.example': ['93.184.215.14', '169.254.169.254'],
  'mapped.example': ['::ffff:127.0.0.1'],
  'public.example': ['93.184.215.14'],
}

const resolve = async (host: string) => names[host] ?? []
const env = { REGISTRATION: 'open', REGISTRATION_QUOTA: '1000' }
const server = await createTestServer(t, { env, outbound: createOutbound({ allow: [], resolve }) })

const count = async (of: TestServer = server) => (await sql(of, 'SELECT count(*)::int AS count FROM client'))[0]?.count

t.test('attack 92: nobody registers where that is off, nor at all what the server does not say', async (t) => {
  const before = await count()
  const off = await createTestServer(t, { beside: server })
  for (const method of ['GET', 'POST', 'PUT', 'DELETE'] as const) {
    t.equal((await ask(off, method, '/register', method === 'GET' ? undefined : metadata)).statusCode, 404)
  }
  t.equal((await ask(off, 'GET', '/register/x', undefined, { token: 'x' })).statusCode, 404)
  const closed = await createTestServer(t, { beside: server, env: { REGISTRATION: 'token' } })
  t.equal((await register(closed)).statusCode, 401)
  t.equal(await count(), before)
})

t.test('attack 93: 200 registrations at once against two servers keep the quota of their network', async (t) => {
  const bound = { REGISTRATION: 'open', REGISTRATION_QUOTA: '5' }
  const one = await createTestServer(t, { env: bound })
  const two = await createTestServer(t, { beside: one, env: bound })
  const replies = await Promise.all(
    Array.from({ length: 200 }, (_, index) => register(index % 2 ? one : two, metadata, { ip: `192.0.2.${index}` })),
  )
  const refused = replies.filter(({ statusCode }) => statusCode === 429)
  t.equal(refused.length, 195)
  t.equal(replies.filter(({ statusCode }) => statusCode === 201).length, 5)
  t.equal(await count(one), 5)
  for (const reply of refused) {
    t.equal(reply.headers['retry-after'], '720')
    t.equal(reply.headers['ratelimit-policy'], '"registrations";q=5;w=3600')
    t.equal(reply.headers.ratelimit, '"registrations";r=0;t=3600')
    t.match(reply.json(), { error: 'temporarily_unavailable' })
  }
  t.equal((await register(one, metadata, { ip: '198.51.100.1' })).statusCode, 201, 'another network has its own')
  one.clock.advance(720)
  t.equal((await register(one)).statusCode, 201)
  t.equal((await register(two)).statusCode, 429)
})

t.test('attack 93: what one network is refused is not counted against its /48', async (t) => {
  const bound = await createTestServer(t, { env: { REGISTRATION: 'open', REGISTRATION_QUOTA: '1' } })
  for (let n = 0; n < 20; n++) await register(bound, metadata, { ip: '2001:db8:1:1::1' })
  t.equal((await register(bound, metadata, { ip: '2001:db8:1:2::1' })).statusCode, 201)
})

t.test('attack 93: whoever holds an IPv6 /48 has no quota for each of its networks', async (t) => {
  const bound = await createTestServer(t, { env: { REGISTRATION: 'open', REGISTRATION_QUOTA: '1' } })
  const replies = []
  for (let network = 0; network < 12; network++) {
    replies.push(await register(bound, metadata, { ip: `2001:db8:1:${network.toString(16)}::1` }))
  }
  t.equal(replies.filter(({ statusCode }) => statusCode === 201).length, 10)
})

t.test('attack 94: a client cannot register what the server decides', async (t) => {
  const before = await count()
  for (const [name, value] of Object.entries({
    client_id: 'admin',
    client_secret: 'x'.repeat(40),
    client_id_issued_at: 1,
    client_secret_expires_at: 1,
    first_party: true,
    require_pkce: false,
    allowed_resources: ['https://admin.example'],
    allowed_networks: ['0.0.0.0/0'],
    allowed_origins: ['https://evil.example'],
    rate_tier: 'gold',
    access_token_lifetime: 3600,
    refresh_token_lifetime: 34_560_000,
    refresh_token_rotation: false,
    required_scope: 'openid',
    default_scope: 'openid',
    client_assertion_audience: 'endpoint',
    registration_access_token: 'x',
    self_registered: false,
    unused_until: null,
    roles: ['admin'],
    ['__proto__']: { first_party: true },
    constructor: { prototype: { firstParty: true } },
    prototype: {},
  })) {
    const body = `{${JSON.stringify(name)}:${JSON.stringify(value)},${JSON.stringify(metadata).slice(1)}`
    const reply = await register(server, body)
    t.equal(reply.statusCode, 400, name)
    t.match(reply.json(), { error: 'invalid_client_metadata' })
  }
  const own = `{"__proto__":{"first_party":true},${JSON.stringify(metadata).slice(1)}`
  t.equal((await register(server, own)).statusCode, 400)
  t.equal(await count(), before)
  t.notOk('first_party' in {})

  // What other servers know by such a name has no effect here.
  const foreign = { client_credentials_scopes: 'admin', skip_consent: true, tenant_id: 'x', is_first_party: true }
  const { clientId, answer } = await registered(server, { ...foreign, firstParty: true, scope: 'openid admin' })
  t.notMatch(JSON.stringify(answer), /admin|skip_consent|tenant|party/i)
  t.match(await server.ctx.clients.find(clientId), {
    firstParty: false,
    requirePkce: true,
    scope: ['openid'],
    roles: [],
  })
})

t.test('attack 95: addresses that lead into a private network are not registered, by whatever name', async (t) => {
  const before = await count()
  const fetched = ['jwks_uri', 'logo_uri', 'backchannel_logout_uri', 'sector_identifier_uri', 'request_uris']
  const valueFor = (name: string, url: string) => (name === 'request_uris' ? ['https://public.example/r', url] : url)
  for (const name of [...fetched, 'initiate_login_uri']) {
    for (const host of [
      '127.0.0.1',
      'localhost',
      '[::ffff:127.0.0.1]',
      '2130706433',
      '169.254.169.254',
      'a.internal',
    ]) {
      const reply = await register(server, { ...metadata, [name]: valueFor(name, `https://${host}/x`) })
      t.match(reply.json(), { error: 'invalid_client_metadata' }, `${name} ${host}`)
    }
    t.equal(
      (await register(server, { ...metadata, [name]: valueFor(name, 'http://public.example/x') })).statusCode,
      400,
      name,
    )
  }
  for (const name of fetched) {
    for (const host of ['inside.example', 'half.example', 'mapped.example']) {
      const reply = await register(server, { ...metadata, [name]: valueFor(name, `https://${host}/x`) })
      t.match(reply.json(), { error: 'invalid_client_metadata' }, `${name} ${host}`)
    }
  }
  t.equal(await count(), before)
  t.equal((await register(server, { ...metadata, logo_uri: 'https://public.example/x' })).statusCode, 201)
})

t.test('attack 95: what redirects, hangs or is too large is no sector and no logo', async (t) => {
  const receiver = await openReceiver(t)
  const outbound = createOutbound({ allow: [new URL(receiver.url).host], timeout: 200 })
  const of = await createTestServer(t, { beside: server, env, outbound })
  const asked = { ...metadata, sector_identifier_uri: receiver.url }
  for (const answer of [status(302, { location: receiver.url }), hang]) {
    receiver.answer(answer)
    t.match((await register(of, asked)).json(), { error: 'invalid_client_metadata' })
  }
  receiver.answer((response) => response.end(JSON.stringify(['x'.repeat(70_000), ...metadata.redirect_uris])))
  t.match((await register(of, asked)).json(), { error: 'invalid_client_metadata' })
  receiver.answer(hang)
  const { clientId } = await registered(of, { logo_uri: receiver.url })
  t.equal((await of.get(clientLogoPath(of.ctx, clientId))).statusCode, 404)
})

t.test('attack 97: the registration access token of one client opens no other', async (t) => {
  const [a, b] = [await registered(server), await registered(server)]
  const body = { ...metadata, client_id: b.clientId }
  for (const token of [a.token, `${b.token}x`, b.token.toUpperCase(), b.clientSecret, 'x']) {
    for (const method of ['GET', 'PUT', 'DELETE'] as const) {
      const reply = await ask(server, method, b.path, method === 'PUT' ? body : undefined, { token })
      t.equal(reply.statusCode, 401, method)
      t.match(reply.json(), { error: 'invalid_token' })
    }
  }
  const unknown = await ask(server, 'GET', '/register/00000000-0000-4000-8000-000000000000', undefined, a)
  const others = await ask(server, 'GET', b.path, undefined, a)
  t.same(unknown.json(), others.json(), 'whether a client exists does not show')
  t.equal((await ask(server, 'GET', `${b.path}?access_token=${b.token}`)).statusCode, 400, 'attack 73')
  t.equal((await ask(server, 'GET', b.path, undefined, b)).statusCode, 200)
})

t.test('attack 98: who registers himself is known by his host, whatever he calls himself', async (t) => {
  const user = await server.createUser()
  for (const client_name of ['Goo\u200bgle', '\u202eelgooG', 'a\u0000b', '\u2066x']) {
    t.equal((await register(server, { ...metadata, client_name })).statusCode, 400)
  }
  const redirect_uris = ['https://xn--pple-43d.example/cb']
  const client = await registered(server, { client_name: 'Google', redirect_uris, scope: 'openid' })
  const browser = new TestBrowser(server)
  const url = authorizationUrl(client, { redirect_uri: redirect_uris[0], scope: 'openid' })
  const login = await browser.open(url)
  t.notMatch(login.html, 'Google')
  const consent = await logIn(browser, login, user)
  t.match(consent.text, /^Ostiary xn--pple-43d\.example wants access/)
  t.match(consent.html, /<title>xn--pple-43d\.example wants/)
  t.match(consent.text, 'This application registered itself.')
})

t.test('attack 99: no software statement is believed, and none is ignored', async (t) => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = part({ iss: 'https://trusted.example', software_id: 'x', first_party: true })
  for (const software_statement of [
    `${part({ alg: 'none' })}.${claims}.`,
    `${part({ alg: 'RS256' })}.${claims}.${'A'.repeat(342)}`,
    'x',
    '',
    { software_id: 'x' },
  ]) {
    const reply = await register(server, { ...metadata, software_statement })
    t.equal(reply.statusCode, 400)
    t.match(reply.json(), { error: 'invalid_software_statement' })
  }
})
