import t from 'tap'
import {
  authorizationQuery,
  authorizationUrl,
  authorize,
  logIn,
  redirectUri,
  signedIn,
} from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { verifier } from '../support/grants.js'
import { createTestServer, sql, type TestClient } from '../support/server.js'

const api = 'https://api.example'
const other = 'https://other.example'

// One for all: each test has users and clients of its own.
const server = await createTestServer(t)
await server.createResource(api, 'read write')
await server.createResource(other, 'open')

let people = 0
const person = () => server.createUser(`person-${++people}@example.com`)

const grantOf = async ({ clientId }: TestClient) => {
  const text = `SELECT scope, resources, offline, session_id, extract(epoch from expires_at - created_at)::int AS lifetime
                  FROM authorization_grant WHERE client_id = $1`
  return (await sql(server, text, [clientId]))[0]
}
const interactionsOf = ({ clientId }: TestClient) =>
  sql(server, 'SELECT 1 FROM interaction WHERE client_id = $1', [clientId])

t.test('RFC 6749 §4.1.2: after login and consent the client gets a code, its state and iss', async (t) => {
  const client = await server.createClient({ scope: 'read write' })
  const user = await person()

  const browser = new TestBrowser(server)
  const login = await browser.open(authorizationUrl(client, { scope: 'read', state: 'ä &=?#+%' }))
  t.equal(login.step, 'login')
  t.match(login.text, /Sign in to continue to Test application at app\.example/)
  t.match(login.reply.headers, { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })

  const consent = await logIn(browser, login, user)
  t.equal(consent.step, 'consent')
  const done = await browser.submit(consent, {}, { button: 'consent-allow' })

  t.equal(`${done.left?.origin}${done.left?.pathname}`, redirectUri)
  t.same(Object.keys(done.answer), ['code', 'state', 'iss'])
  t.equal(done.answer['state'], 'ä &=?#+%', 'comes back as it was')
  t.equal(done.answer['iss'], 'http://localhost:3000', 'RFC 9207 §2')
  t.match(done.answer['code'], /^oac_/)

  const reply = await server.post(
    '/token',
    {
      grant_type: 'authorization_code',
      code: done.answer['code'] ?? '',
      redirect_uri: redirectUri,
      code_verifier: verifier,
    },
    { authorization: client.basic },
  )
  t.equal(reply.statusCode, 200, reply.body)
  t.match(reply.json(), { token_type: 'Bearer', scope: 'read' })

  const events = (await server.audit()).filter(({ clientId }) => clientId === client.clientId).map(({ type }) => type)
  for (const type of ['login.succeeded', 'consent.given', 'code.issued', 'code.redeemed']) {
    t.equal(events.filter((each) => each === type).length, 1, type)
  }
})

t.test('RFC 6749 §4.1.1: POST takes the same parameters, in the body alone', async (t) => {
  const client = await server.createClient()
  const browser = new TestBrowser(server)
  const form = Object.fromEntries(new URLSearchParams(authorizationQuery(client)))
  t.equal((await browser.post('/authorize', form)).step, 'login')

  const both = await browser.post('/authorize?response_type=code', form)
  t.equal(both.status, 400)
  t.notOk(both.left)
  t.match(both.text, /Something went wrong/)

  const wrong = await browser.post('/authorize', { ...form, response_type: 'token' })
  t.match(wrong.answer, { error: 'unsupported_response_type' })
})

t.test('OIDC Core §3.1.2.1: a form that another site posts finds the session by way of a link', async (t) => {
  const client = await server.createClient({ first_party: true })
  const browser = await signedIn(server, await person())
  const form = Object.fromEntries(new URLSearchParams(authorizationQuery(client)))
  t.match((await browser.post('/authorize', form, { crossSite: true })).answer, { code: /^oac_/ })
})

t.test('what was posted by mistake does not get into the address of that link', async (t) => {
  const client = await server.createClient()
  const form = Object.fromEntries(new URLSearchParams(authorizationQuery(client, { nonce: 'n', resource: [] })))
  const reply = await server.post('/authorize', {
    ...form,
    password: 'hunter2 hunter2',
    client_secret: 'a secret',
    x: 'y',
  })
  t.equal(reply.statusCode, 303)
  const { pathname, searchParams } = new URL(String(reply.headers.location), 'http://localhost')
  t.equal(pathname, '/authorize')
  t.same(Object.fromEntries(searchParams), form)
})

t.test('signed in and consented: the code comes at once, and nothing is stored that waits', async (t) => {
  const client = await server.createClient()
  const user = await person()
  const browser = new TestBrowser(server)
  await authorize(server, client, user, {}, browser)
  const before = await interactionsOf(client)

  const reply = await browser.request('GET', authorizationUrl(client))
  t.equal(reply.statusCode, 303)
  t.match(reply.headers.location, /^https:\/\/app\.example\/cb\?code=oac_/)
  t.same(await interactionsOf(client), before)
})

t.test('RFC 6749 §3.1: unknown parameters are ignored, empty ones are absent', async (t) => {
  const client = await server.createClient()
  const browser = new TestBrowser(server)
  const address = `${authorizationUrl(client)}&nonce=n&unknown=1&max_age=&prompt=&scope=`
  t.equal((await browser.open(address)).step, 'login')
})

t.test('RFC 6749 §4.1.2.1: errors of the request go to the client, with state and iss', async (t) => {
  const client = await server.createClient({ scope: 'read open nobodys' })
  const machine = await server.createClient({
    grant_types: ['client_credentials'],
    redirect_uris: [redirectUri],
    response_types: [],
  })
  const browser = new TestBrowser(server)

  const cases: readonly (readonly [Record<string, string | readonly string[] | undefined>, string])[] = [
    [{ response_type: undefined }, 'invalid_request'],
    [{ response_type: 'token' }, 'unsupported_response_type'],
    [{ response_type: 'code id_token' }, 'unsupported_response_type'],
    [{ response_mode: 'web_message' }, 'invalid_request'],
    [{ id_token_hint: 'x' }, 'invalid_request'],
    [{ scope: 'unregistered' }, 'invalid_scope'],
    [{ scope: 'nobodys' }, 'invalid_scope'],
    [{ scope: 'read  open' }, 'invalid_scope'],
    [{ scope: 'read open' }, 'invalid_scope'],
    [{ scope: 'read', resource: other }, 'invalid_scope'],
    [{ resource: 'https://unknown.example' }, 'invalid_target'],
    [{ resource: 'not a uri' }, 'invalid_target'],
    [{ max_age: '-1' }, 'invalid_request'],
    [{ max_age: '1e3' }, 'invalid_request'],
    [{ prompt: 'unheard' }, 'invalid_request'],
    [{ prompt: 'none login' }, 'invalid_request'],
    [{ request: 'eyJ' }, 'invalid_request_object'],
    [{ request_uri: 'https://app.example/r' }, 'invalid_request_uri'],
    [{ registration: '{}' }, 'registration_not_supported'],
  ]
  for (const [parameters, error] of cases) {
    const page = await browser.open(authorizationUrl(client, parameters))
    t.match(page.answer, { error, state: 'the state', iss: 'http://localhost:3000' }, JSON.stringify(parameters))
    t.type(page.answer['error_description'], 'string')
    t.notOk('code' in page.answer)
    t.equal(page.reply.statusCode, 303)
  }
  t.match((await browser.open(authorizationUrl(machine))).answer, { error: 'unauthorized_client' })
  t.same(await interactionsOf(client), [], 'nothing changed')
})

t.test('the redirect URI keeps its own query', async (t) => {
  const uris = ['https://app.example/cb?tenant=1&x=%20y', 'https://app.example/cb?']
  const client = await server.createClient({ redirect_uris: uris, first_party: true })
  const browser = await signedIn(server, await person())
  for (const uri of uris) {
    const { location } = (await browser.request('GET', authorizationUrl(client, { redirect_uri: uri }))).headers
    t.ok(location?.startsWith(uri.endsWith('?') ? `${uri}code=oac_` : `${uri}&code=oac_`), `${location}`)
  }
})

t.test('RFC 6749 §3.1.2.3: the redirect URI may be left out where only one is registered', async (t) => {
  const client = await server.createClient({ first_party: true })
  const browser = await signedIn(server, await person())
  const { answer, left } = await browser.open(authorizationUrl(client, { redirect_uri: undefined }))
  t.equal(left?.pathname, '/cb')
  const form = { grant_type: 'authorization_code', code: answer['code'] ?? '', code_verifier: verifier }
  t.equal((await server.post('/token', form, { authorization: client.basic })).statusCode, 200, 'then also at /token')
})

t.test('RFC 8252 §7.3: a native client takes any port of a loopback address', async (t) => {
  const user = await person()
  const client = await server.createClient({
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/cb', 'com.example.app:/cb'],
  })
  const loopback = await authorize(server, client, user, { redirect_uri: 'http://127.0.0.1:51004/cb' })
  t.match(loopback, { code: /^oac_/ })
  const scheme = await authorize(server, client, user, { redirect_uri: 'com.example.app:/cb' })
  t.match(scheme, { code: /^oac_/ })
})

t.test('OIDC Core §3.1.2.1: prompt and max_age', async (t) => {
  const client = await server.createClient()
  const user = await person()
  const browser = new TestBrowser(server)
  await authorize(server, client, user, {}, browser)

  t.match((await browser.open(authorizationUrl(client, { prompt: 'none' }))).answer, { code: /^oac_/ })
  t.equal((await browser.open(authorizationUrl(client, { prompt: 'consent' }))).step, 'consent')
  t.equal((await browser.open(authorizationUrl(client, { prompt: 'select_account' }))).step, 'login')

  const again = await browser.open(authorizationUrl(client, { prompt: 'login' }))
  t.equal(again.step, 'login')
  t.match(again.text, /You are signed in already/)
  t.equal(again.inputs.find(({ name }) => name === 'username')?.value, user.email)
  t.match((await logIn(browser, again, user)).answer, { code: /^oac_/ })

  server.clock.advance(100)
  t.match((await browser.open(authorizationUrl(client, { max_age: '100' }))).answer, { code: /^oac_/ })
  t.equal((await browser.open(authorizationUrl(client, { max_age: '99' }))).step, 'login')
  const silent = await browser.open(authorizationUrl(client, { max_age: '99', prompt: 'none' }))
  t.match(silent.answer, { error: 'login_required' })
})

t.test('OIDC Core §3.1.2.1: login_hint is filled in, and escaped', async (t) => {
  const client = await server.createClient()
  const hint = '"><script>alert(1)</script>@example.com'
  const page = await new TestBrowser(server).open(authorizationUrl(client, { login_hint: hint }))
  t.equal(page.inputs.find(({ name }) => name === 'username')?.value, hint)
  t.notMatch(page.html, '<script')
})

t.test('RFC 8707 §2.1: a request may span several resources', async (t) => {
  const client = await server.createClient({ scope: 'read open' })
  const user = await person()
  const parameters = { scope: 'read open', resource: [api, other] }
  t.match(await authorize(server, client, user, parameters), { code: /^oac_/ })
  t.match(await grantOf(client), { scope: ['read', 'open'], resources: [api, other] })
})

t.test('without a scope the client gets its default', async (t) => {
  const client = await server.createClient({ scope: 'read write', default_scope: 'read', first_party: true })
  const bare = await server.createClient({ first_party: true })
  const browser = await signedIn(server, await person())
  await browser.open(authorizationUrl(client))
  await browser.open(authorizationUrl(bare))
  t.match(await grantOf(client), { scope: ['read'], resources: [api] })
  t.match(await grantOf(bare), { scope: [], resources: [] })
})

t.test('a grant ends with the session, unless offline_access was allowed', async (t) => {
  const both = { grant_types: ['authorization_code', 'refresh_token'], scope: 'read offline_access', first_party: true }
  const online = await server.createClient({ ...both, client_name: 'online' })
  const offline = await server.createClient({
    ...both,
    refresh_token_lifetime: 432_000,
    refresh_token_idle_lifetime: 3600,
  })
  const without = await server.createClient({ scope: 'read offline_access', first_party: true })
  const browser = await signedIn(server, await person())
  for (const [client, scope] of [
    [online, 'read'],
    [offline, 'read offline_access'],
    [without, 'read offline_access'],
  ] as const) {
    t.match((await browser.open(authorizationUrl(client, { scope }))).answer, { code: /^oac_/ })
  }
  t.match(await grantOf(online), { offline: false, lifetime: 7 * 86_400, session_id: String })
  t.match(await grantOf(offline), { offline: true, lifetime: 432_000, session_id: String })
  t.match(
    await grantOf(without),
    { scope: ['read'], offline: false, lifetime: 3660 },
    'without refresh tokens there is none to keep',
  )
})

t.test('roles: only what the user may have is offered and granted', async (t) => {
  const guarded = 'https://guarded.example'
  await server.createResource(guarded, 'see change', { usesRoles: true })
  const client = await server.createClient({ scope: 'see change' })
  const user = await person()
  t.match(await authorize(server, client, user, { scope: 'see change' }), {
    error: 'invalid_scope',
    state: 'the state',
  })

  await sql(
    server,
    `INSERT INTO role (id, resource, name, scope, created_at) VALUES ($1, $2, 'reader', '{see}', now())`,
    ['00000000-0000-4000-8000-000000000001', guarded],
  )
  await sql(server, `INSERT INTO role_holder (role_id, kind, holder, created_at) VALUES ($1, 'user', $2, now())`, [
    '00000000-0000-4000-8000-000000000001',
    user.id,
  ])
  const browser = new TestBrowser(server)
  const consent = await logIn(browser, await browser.open(authorizationUrl(client, { scope: 'see change' })), user)
  t.same(
    consent.inputs.filter(({ name }) => name === 'scope').map(({ value }) => value),
    ['see'],
  )
  const done = await browser.submit(consent, { scope: ['see', 'change'] }, { button: 'consent-allow' })
  t.match(done.answer, { code: /^oac_/ })
  t.match(await grantOf(client), { scope: ['see'] })
})

t.test('a client that was disabled while its user was asked gets nothing', async (t) => {
  const client = await server.createClient()
  const user = await person()
  const browser = new TestBrowser(server)
  const consent = await logIn(browser, await browser.open(authorizationUrl(client)), user)
  await sql(server, 'UPDATE client SET disabled_at = $1 WHERE client_id = $2', [server.clock.now(), client.clientId])

  // Also where this process has not heard of it yet: the statement asks the database.
  const unheard = await browser.submit(consent, {}, { button: 'consent-allow' })
  t.equal(unheard.status, 400)
  t.notOk(unheard.left)
  await server.refresh()
  const heard = await browser.open(authorizationUrl(client))
  t.equal(heard.status, 400)
  t.match(heard.text, /not known to this server/)
  t.notOk(await grantOf(client))
})

t.test('wrong methods are refused by name, and there is no CORS', async (t) => {
  const client = await server.createClient({ allowed_origins: ['https://app.example'] })
  for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH'] as const) {
    const reply = await server.app.inject({ method, url: '/authorize', headers: { origin: 'https://app.example' } })
    t.equal(reply.statusCode, 405, method)
    t.equal(reply.headers.allow, 'GET, HEAD, POST')
  }
  const reply = await server.get(authorizationUrl(client), { origin: 'https://app.example' })
  t.notOk(reply.headers['access-control-allow-origin'], 'attack 121')
})
