import t from 'tap'
import { atAccount } from '../support/account.js'
import { authorizationUrl, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { idTokensFor, relyingParty } from '../support/logout.js'
import { refused } from '../support/refused.js'
import { createTestServer, sql, testIssuer } from '../support/server.js'
import { postAs } from '../support/tokens.js'

// Where somebody is signed in, and what they have allowed whom: seen and ended by themselves.

const server = await createTestServer(t)
const [ada, bob] = [await server.createUser('ada@example.com'), await server.createUser('bob@example.com')]

const isSignedIn = async (browser: TestBrowser) => (await browser.open('/account')).url.pathname === '/account'
const at = (ip: string) => new TestBrowser(server, { ip })

t.test('somebody sees where they are signed in, and ends one of it', async (t) => {
  const first = await atAccount(server, ada, at('192.0.2.7'))
  server.clock.advance(3_600)
  const second = await atAccount(server, ada, at('198.51.100.8'))
  const theirs = await atAccount(server, bob, at('203.0.113.9'))
  const page = await second.open('/account/sessions')
  t.match(page.text, /Where you are signed in.*This browser.*198\.51\.100\.8.*192\.0\.2\.7/)
  t.notMatch(page.html, '203.0.113.9', 'nobody else')
  const buttons = page.inputs.filter(({ name }) => name === 'session')
  t.equal(buttons.length, 2)

  const after = await second.submit(page, {}, { button: buttons[1]!.value })
  t.equal(after.url.pathname, '/account/sessions')
  t.notMatch(after.text, /192\.0\.2\.7/)
  t.notOk(await isSignedIn(first))
  t.ok(await isSignedIn(second))
  t.match((await server.audit('session.revoked')).at(-1), {
    reason: 'ended_by_user',
    actor: `user:${ada.id}`,
    ip: '198.51.100.8',
  })

  const here = await second.submit(await second.open('/account/sessions'), {}, { button: buttons[0]!.value })
  t.equal(here.url.pathname, '/account/signed-out')
  t.notOk(second.cookies.has('ostiary_session'))
  t.ok(await isSignedIn(theirs))
})

t.test('attack 114: somebody ends all others at once, and nobody else’s', async (t) => {
  const browsers = []
  for (let n = 0; n < 3; n++) browsers.push(await atAccount(server, ada))
  const theirs = await atAccount(server, bob)
  const [mine, ...others] = browsers
  await mine!.submit(await mine!.open('/account/sessions'), {}, { button: 'end-others' })
  t.ok(await isSignedIn(mine!))
  t.ok(await isSignedIn(theirs))
  for (const other of others) t.notOk(await isSignedIn(other))
  t.notMatch((await mine!.open('/account/sessions')).html, 'end-others', 'nothing is left to end')

  const page = await mine!.open('/account/sessions')
  for (const { id } of await sql(server, 'SELECT id FROM session WHERE user_id = $1', [bob.id])) {
    await mine!.submit(page, { session: id })
  }
  t.ok(await isSignedIn(theirs), 'attack 114: by its id neither')
  const forged = await mine!.request('POST', '/account/sessions', { form: { action: 'end_others' } })
  t.equal(forged.statusCode, 403, 'attack 23')
  const old = page.form(undefined).form['csrf_token'] ?? ''
  const wrongPage = await mine!.request('POST', '/account/applications', { form: { csrf_token: old, client_id: 'x' } })
  t.equal(wrongPage.statusCode, 403, 'a token is of one page')
})

t.test(
  'attack 61: somebody sees what applications may do, opens one, and ends it with what they decided',
  async (t) => {
    await server.createResource('https://orders.example', 'orders', {
      name: 'Orders API',
      scopes: [{ name: 'orders', description: 'Read your orders' }],
    })
    const client = await server.createClient({
      ...relyingParty,
      client_name: 'Acme Notes',
      scope: 'openid email offline_access orders',
      initiate_login_uri: 'https://app.example/login?tenant=1',
    })
    const other = await server.createClient({ ...relyingParty, client_name: 'Other' })
    const browser = await signedIn(server, ada)
    const tokens = await idTokensFor(server, client, ada, browser, 'openid email offline_access orders')
    const kept = await idTokensFor(server, other, ada, browser, 'openid')

    const page = await browser.open('/account/applications')
    t.match(
      page.text,
      /Acme Notes.*See your e-mail address.*Read your orders.*Orders API.*also when you are signed out/,
    )
    t.match(page.text, /Other.*You sign out/)
    const open = page.links.find(({ text }) => text === 'Open')
    t.equal(open?.href, 'https://app.example/login?tenant=1&iss=http%3A%2F%2Flocalhost%3A3000', 'OIDC Core §4')

    const after = await browser.submit(page, {}, { button: client.clientId })
    t.notMatch(after.text, /Acme Notes/)
    t.match(after.text, /Other/)
    const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
    t.match((await postAs(server, client, '/token', refresh)).json(), { error: 'invalid_grant' })
    const info = (token: string) => server.get('/userinfo', { authorization: `Bearer ${token}` })
    t.equal((await info(tokens.access_token)).statusCode, 401)
    t.equal((await info(kept.access_token)).statusCode, 200, 'nothing of another')
    t.match(await server.audit('consent.withdrawn'), [
      { clientId: client.clientId, subject: ada.id, actor: `user:${ada.id}` },
    ])
    const asked = await browser.open(authorizationUrl(client, { scope: 'openid email' }))
    t.equal(asked.step, 'consent', 'what was decided is gone too')
  },
)

t.test('OIDC Core §4: a login that begins in the list of applications ends at the application', async (t) => {
  const initiate_login_uri = 'https://app.example/login?tenant=1'
  const client = await server.createClient({ ...relyingParty, client_name: 'Begins outside', initiate_login_uri })
  const without = await server.createClient({ ...relyingParty, client_name: 'Begins inside' })
  const browser = await signedIn(server, ada)
  await idTokensFor(server, client, ada, browser)
  await idTokensFor(server, without, ada, browser)
  const page = await browser.open('/account/applications')
  const hrefs = page.links.filter(({ text }) => text === 'Open').map(({ href }) => new URL(href))
  const begun = hrefs.find(({ pathname }) => pathname === '/login')
  t.equal(hrefs.length, 1, 'no link where none is registered')
  // What an application does with it: it knows the issuer, and asks for the login as for any other.
  t.same(
    [...(begun?.searchParams ?? [])],
    [
      ['tenant', '1'],
      ['iss', testIssuer],
    ],
  )
  t.notMatch(page.html, /login_hint|target_link_uri/, 'no address of a person stands in an address of somebody else')
  const answer = (await browser.open(authorizationUrl(client, { scope: 'openid' }))).answer
  t.match(answer, { code: /^oac_/, iss: begun?.searchParams.get('iss') })
})

t.test('OIDC Core §4: where a login begins is https or loopback, and nothing else', async (t) => {
  for (const uri of ['https://app.example/login', 'http://localhost:8080/login', 'http://127.0.0.1/login']) {
    t.ok((await server.createClient({ ...relyingParty, initiate_login_uri: uri })).clientId, uri)
  }
  for (const uri of [
    ...['http://app.example/login', 'javascript:alert(1)', 'data:text/html,x', '/login', 'app.example', 7],
    ...['https://user:secret@app.example/login'],
  ]) {
    const registering = server.createClient({ ...relyingParty, initiate_login_uri: uri })
    await refused(t, registering, { code: 'invalid_client_metadata', message: /initiate_login_uri/ }, String(uri))
  }
})

t.test('attack 61: what is remembered is listed when the grant is over, and is ended like any other', async (t) => {
  const client = await server.createClient({
    ...relyingParty,
    client_name: 'Sign-in only',
    grant_types: ['authorization_code'],
  })
  await idTokensFor(server, client, ada, await signedIn(server, ada), 'openid')
  // Longer than a grant without refresh tokens lives.
  server.clock.advance(62 * 60)
  const browser = await signedIn(server, ada)
  const silent = authorizationUrl(client, { scope: 'openid', prompt: 'none' })
  const page = await browser.open('/account/applications')
  t.match(page.text, /Sign-in only.*Asks you again When you have ended it here/)
  const after = await browser.submit(page, {}, { button: client.clientId })
  t.notMatch(after.text, 'Sign-in only')
  t.match((await browser.open(silent)).answer, { error: 'consent_required' })
  t.match(
    (await server.audit('consent.withdrawn')).filter(({ clientId }) => clientId === client.clientId),
    [{ subject: ada.id, actor: `user:${ada.id}`, detail: { grants: 0 } }],
  )
  t.equal(
    (await server.audit('consent.withdrawn')).filter(({ clientId }) => clientId === client.clientId).length,
    1,
    'told once',
  )

  await idTokensFor(server, client, ada, browser, 'openid')
  server.clock.advance(62 * 60)
  const again = await signedIn(server, ada)
  t.match((await again.open('/account/applications')).text, 'Sign-in only')
  t.ok((await again.open(silent)).answer['code'], 'that it goes on is why it is there')

  const own = await server.createClient({ ...relyingParty, client_name: 'Once asked' })
  await idTokensFor(server, own, ada, again, 'openid')
  await sql(server, 'UPDATE client SET disabled_at = now() WHERE client_id = $1', [own.clientId])
  t.notMatch((await again.open('/account/applications')).text, 'Once asked', 'what is disabled gets nothing')
})

t.test('whoever has many grants of one application ends all of them', async (t) => {
  const client = await server.createClient(relyingParty)
  const browser = await signedIn(server, ada)
  await idTokensFor(server, client, ada, browser)
  const columns =
    'bucket, client_id, user_id, session_bucket, session_id, scope, resources, offline, auth_time, created_at, expires_at'
  await sql(
    server,
    `INSERT INTO authorization_grant (id, ${columns})
     SELECT gen_random_uuid(), ${columns} FROM authorization_grant g, generate_series(1, 1200) WHERE g.client_id = $1`,
    [client.clientId],
  )
  await browser.submit(await browser.open('/account/applications'), {}, { button: client.clientId })
  const left = await sql(server, 'SELECT FROM authorization_grant WHERE client_id = $1 AND ended_at IS NULL', [
    client.clientId,
  ])
  t.equal(left.length, 0)
  const withdrawn = (await server.audit('consent.withdrawn')).find(({ clientId }) => clientId === client.clientId)
  t.same(withdrawn?.detail, { grants: 1201 })
})

t.test('nobody’s session is listed that is over', async (t) => {
  await atAccount(server, ada, at('192.0.2.7'))
  server.clock.advance(server.ctx.config.sessions.idleLifetime + 1)
  const browser = await atAccount(server, ada)
  const page = await browser.open('/account/sessions')
  t.notMatch(page.html, '192.0.2.7')
  t.equal(page.inputs.filter(({ name }) => name === 'session').length, 1)
})
