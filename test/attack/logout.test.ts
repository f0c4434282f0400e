import t from 'tap'
import { createDelivery } from '../../src/jobs/index.js'
import { authorizationUrl, authorize, logIn, redirectUri, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import {
  afterLogout,
  claimsOfToken,
  logoutUrl,
  openLogoutScene,
  relyingParty,
  signedInAt,
  waitingLogouts,
} from '../support/logout.js'
import { openReceiver } from '../support/receiver.js'
import { registered } from '../support/registration.js'
import { createTestServer, sql } from '../support/server.js'
import { deliver } from '../support/telling.js'

const { server, user, client } = await openLogoutScene(t)
const isSignedIn = async (browser: TestBrowser) => (await browser.open('/account')).url.pathname === '/account'

t.test(
  'attack 12: a post-logout redirect URI that is not registered, or not of this client, leads nowhere',
  async (t) => {
    const other = await server.createClient({
      ...relyingParty,
      post_logout_redirect_uris: ['https://other.example/out'],
    })
    const disabled = await server.createClient(relyingParty)
    await sql(server, 'UPDATE client SET disabled_at = $2 WHERE client_id = $1', [
      disabled.clientId,
      server.clock.now(),
    ])
    const { browser, tokens } = await signedInAt(server, client, user)
    const hint = tokens.id_token
    const wrong = [
      ...[
        'https://evil.example/',
        'https://other.example/out',
        `${afterLogout}/`,
        `${afterLogout}?`,
        `${afterLogout}#x`,
      ],
      ...[
        'https://APP.example/signed-out',
        'https://app.example:443/signed-out',
        'https://app.example/x/../signed-out',
      ],
      ...['https://app.example@evil.example/signed-out', '//app.example/signed-out', 'javascript:alert(1)', 'data:,x'],
      ...['https://app.example/signed-out\u0000', 'https://app.example/cb', ' https://app.example/signed-out'],
    ]
    const requests: Record<string, string | undefined>[] = [
      ...wrong.map((uri) => ({ id_token_hint: hint, post_logout_redirect_uri: uri })),
      ...wrong.map((uri) => ({ client_id: client.clientId, post_logout_redirect_uri: uri })),
      { post_logout_redirect_uri: afterLogout },
      { post_logout_redirect_uri: afterLogout, logout_hint: user.email },
      { post_logout_redirect_uri: afterLogout, client_id: 'nobody' },
      { post_logout_redirect_uri: afterLogout, client_id: other.clientId },
      { post_logout_redirect_uri: afterLogout, client_id: disabled.clientId },
      { post_logout_redirect_uri: afterLogout, client_id: other.clientId, id_token_hint: hint },
      { client_id: other.clientId, id_token_hint: hint },
      ...[
        'a.b.c',
        `${hint.slice(0, -8)}AAAAAAAA`,
        tokens.access_token,
        `${hint.split('.').slice(0, 2).join('.')}.`,
      ].map((id_token_hint) => ({ id_token_hint, post_logout_redirect_uri: afterLogout })),
      { id_token_hint: 'a.b.c', client_id: client.clientId, post_logout_redirect_uri: afterLogout },
      { id_token_hint: 'a.b.c' },
    ]
    for (const each of [browser, new TestBrowser(server)]) {
      for (const request of requests) {
        const page = await each.open(logoutUrl(request))
        t.equal(page.left, undefined, JSON.stringify(request).slice(0, 120))
        t.equal(page.status, 400)
        t.notMatch(page.html, /evil\.example|javascript:alert/, 'nor is it shown')
      }
    }
    const repeated = `${logoutUrl({ client_id: client.clientId, post_logout_redirect_uri: afterLogout })}&post_logout_redirect_uri=x`
    t.equal((await browser.open(repeated)).status, 400)
    t.match((await browser.open(logoutUrl({ id_token_hint: 'a.b.c' }))).text, /You were not signed out/)
    t.ok(await isSignedIn(browser), 'and nothing has ended')
  },
)

t.test('attack 12: what was checked for the question is checked for the answer', async (t) => {
  const { browser, tokens } = await signedInAt(server, client, user)
  const page = await browser.open(logoutUrl({ id_token_hint: tokens.id_token, post_logout_redirect_uri: afterLogout }))
  const { address, form } = page.form('logout-yes')
  const moved = address.replace(encodeURIComponent(afterLogout), encodeURIComponent('https://evil.example/'))
  t.not(moved, address)
  const changed = await browser.post(moved, form)
  t.equal(changed.left, undefined)
  t.equal(changed.status, 400)
  t.ok(await isSignedIn(browser))
})

t.test('attack 23: a sign-out without the token of its form, or with that of another, ends nothing', async (t) => {
  const { browser, tokens } = await signedInAt(server, client, user)
  const request = { id_token_hint: tokens.id_token, post_logout_redirect_uri: afterLogout }
  const page = await browser.open(logoutUrl({ ...request, state: 'mine' }))
  const { address, form } = page.form('logout-yes')
  const bob = await server.createUser('bob@example.com')
  const theirs = await signedInAt(server, client, bob)
  const stolen = (await theirs.browser.open(logoutUrl({ ...request, state: 'mine' }))).form('logout-yes').form
  const without = '/logout/confirm'
  for (const [what, to, wrong] of [
    ['none', address, { action: 'yes' }],
    ['garbage', address, { ...form, csrf_token: 'x'.repeat(43) }],
    ['that of another session', address, { ...form, csrf_token: stolen['csrf_token']! }],
    ['for another state', address.replace('mine', 'theirs'), form],
    ['for nowhere to go', without, form],
  ] as const) {
    const reply = await browser.request('POST', to, { form: wrong })
    t.equal(reply.statusCode, 403, what)
    t.equal(reply.headers['location'], undefined)
  }
  t.ok(await isSignedIn(browser))
  const byStranger = await browser.post(address, form, { crossSite: true })
  t.equal(byStranger.left, undefined, 'another site cannot send it, and nobody is sent on by it')
})

t.test('a form of another site ends nothing, clears no cookie and says nothing: the user is asked', async (t) => {
  const { browser } = await signedInAt(server, client, user)
  for (const form of [{ action: 'yes' }, { action: 'no' }]) {
    const page = await browser.post(`/logout/confirm?client_id=${client.clientId}`, form, { crossSite: true })
    t.ok(page.form('logout-yes'), 'it comes again as a link, with the cookies')
    t.ok(await isSignedIn(browser))
  }
})

t.test('without any cookie of ours nobody is told that they were signed out', async (t) => {
  const reply = await new TestBrowser(server).request('POST', '/logout/confirm?state=s', { form: { action: 'yes' } })
  t.equal(reply.statusCode, 303)
  t.equal(reply.headers['location'], '/logout/confirm?state=s')
  t.equal(reply.headers['set-cookie'], undefined)
  const asked = await new TestBrowser(server).request('GET', '/logout')
  t.equal(asked.headers['set-cookie'], undefined)
})

t.test('an ID token of another user, or of another session, ends nothing without a yes', async (t) => {
  const own = await server.createClient({ ...relyingParty, first_party: true })
  const mallory = await server.createUser('mallory@example.com')
  const theirs = await signedInAt(server, own, mallory)
  const elsewhere = await signedInAt(server, own, user)
  const { browser } = await signedInAt(server, own, user)
  for (const { tokens } of [theirs, elsewhere]) {
    const link = logoutUrl({ id_token_hint: tokens.id_token, post_logout_redirect_uri: afterLogout })
    const page = await browser.open(link)
    t.equal(page.left, undefined)
    t.match(page.text, /Do you want to sign out\?.*ada@example/)
    t.ok(await isSignedIn(browser))
  }
})

t.test('attack 28: after a sign-out the old cookie is nothing, and the next login has another', async (t) => {
  const { browser, tokens } = await signedInAt(server, client, user)
  const before = browser.cookies.get('ostiary_session')!
  const page = await browser.open(logoutUrl({ id_token_hint: tokens.id_token }))
  const done = await browser.submit(page, {}, { button: 'logout-yes' })
  t.match(String(done.reply.headers['set-cookie']), /ostiary_session=;.*Max-Age=0/i)
  browser.cookies.set(before.name, before)
  t.notOk(await isSignedIn(browser), 'whoever planted or kept it has nothing')
  const login = await browser.open(authorizationUrl(client, { scope: 'openid' }))
  await logIn(browser, login, user)
  const after = browser.cookies.get('ostiary_session')!
  t.not(after.value, before.value)
  t.ok(await isSignedIn(browser))
})

t.test('attack 77: a logout token is no ID token, no access token and no hint', async (t) => {
  const { browser, tokens } = await signedInAt(server, client, user)
  const claims = {
    ...claimsOfToken(tokens.id_token),
    events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
  }
  const logoutToken = await server.ctx.keys.sign(claims, { alg: 'RS256', typ: 'logout+jwt' })
  t.equal((await browser.open(logoutUrl({ id_token_hint: logoutToken }))).status, 400)
  t.equal((await server.get('/userinfo', { authorization: `Bearer ${logoutToken}` })).statusCode, 401)
  const hinted = await browser.open(
    authorizationUrl(client, { scope: 'openid', prompt: 'none', id_token_hint: logoutToken }),
  )
  t.equal(hinted.answer['error'], 'invalid_request')
})

t.test('attack 95: a back-channel logout address within is refused at registration, and not asked later', async (t) => {
  const inside = await openReceiver(t, '/logout')
  for (const uri of [
    ...[
      'http://app.example/logout',
      'https://127.0.0.1/logout',
      'https://[::ffff:10.0.0.1]/',
      'https://169.254.169.254/',
    ],
    ...['https://2130706433/', 'https://localhost/', 'https://user@app.example/', inside.url],
  ]) {
    await t.rejects(server.createClient({ ...relyingParty, backchannel_logout_uri: uri }), uri)
  }
  const moved = await server.createClient({ ...relyingParty, backchannel_logout_uri: 'https://app.example/logout' })
  await sql(server, 'UPDATE client SET backchannel_logout_uri = $2 WHERE client_id = $1', [moved.clientId, inside.url])
  await server.refresh()
  const { browser, tokens } = await signedInAt(server, moved, user)
  await browser.submit(await browser.open(logoutUrl({ id_token_hint: tokens.id_token })), {}, { button: 'logout-yes' })
  const delivery = createDelivery(server.ctx)
  await deliver(delivery)
  await delivery.stop()
  t.same(inside.received, [])
  t.match(await waitingLogouts(server), [{ destination: moved.clientId, attempts: 1, last_error: /^outbound_/ }])
})

t.test(
  'attack 98: an application that registered itself is shown with its host where it asks, and where it is listed',
  async (t) => {
    const open = await createTestServer(t, { env: { REGISTRATION: 'open' } })
    const ada = await open.createUser('ada@example.com')
    const stranger = await registered(open, { client_name: 'Your bank', redirect_uris: [redirectUri] })
    const browser = await signedIn(open, ada)
    const page = await browser.open(logoutUrl({ client_id: stranger.clientId }))
    t.match(page.text, /Your bank at app\.example asks to sign you out/)
    await authorize(open, stranger, ada, { scope: 'openid' }, browser)
    t.match((await browser.open('/account/applications')).text, /Your bank at app\.example/)
    t.match(page.text, 'It registered itself.')

    // By the first one alone it would be at home where it only says that it is.
    const redirect_uris = ['https://accounts.google.com/cb', redirectUri, 'http://localhost:3001/cb']
    const several = await registered(open, { client_name: 'Google', redirect_uris })
    await authorize(open, several, ada, { scope: 'openid' }, browser)
    const all = /Google at accounts\.google\.com ?, app\.example ?, on this device/
    t.match((await browser.open(logoutUrl({ client_id: several.clientId }))).text, all)
    const listed = (await browser.open('/account/applications')).text
    t.match(listed, all)
    t.match(listed, 'It registered itself. Nobody who runs this server has checked whose it is.')
    const own = await open.createClient({ ...relyingParty, client_name: 'Acme Notes' })
    t.match((await browser.open(logoutUrl({ client_id: own.clientId }))).text, /Acme Notes asks to sign you out/)
  },
)
