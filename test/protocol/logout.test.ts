import { decodeProtectedHeader } from 'jose'
import t from 'tap'
import { TestBrowser } from '../support/browser.js'
import { afterLogout, claimsOfToken, logoutUrl, openLogoutScene, relyingParty, signedInAt } from '../support/logout.js'

// OpenID Connect RP-Initiated Logout 1.0.

const { server, user, client } = await openLogoutScene(t)
const userInfo = (token: string) => server.get('/userinfo', { authorization: `Bearer ${token}` })

t.test('RP-Initiated Logout §2: the user is asked, signed out, and sent back with the state', async (t) => {
  const { browser, tokens } = await signedInAt(server, client, user)
  const request = { id_token_hint: tokens.id_token, post_logout_redirect_uri: afterLogout, state: 'a b&c' }
  const page = await browser.open(logoutUrl(request))
  t.equal(page.status, 200)
  t.match(page.text, /Do you want to sign out\? Acme Notes asks to sign you out\./)
  t.match(page.text, /ada@example\.com/)
  t.match(page.text, /Afterwards you go to app\.example/)
  t.match(page.reply.headers['content-security-policy'], /form-action 'self' https:\/\/app\.example;/)
  t.same(
    page.inputs.map(({ id }) => id).filter((id) => id !== ''),
    ['logout-no', 'logout-yes'],
  )
  t.equal((await userInfo(tokens.access_token)).statusCode, 200, 'nothing has ended yet')

  const done = await browser.submit(page, {}, { button: 'logout-yes' })
  t.equal(done.left?.href, `${afterLogout}?state=a+b%26c`)
  t.notOk(browser.cookies.has('ostiary_session'))
  t.match((await server.audit('session.revoked')).at(-1), { reason: 'logout_requested', subject: user.id })
  t.equal((await userInfo(tokens.access_token)).statusCode, 401, 'what the application got ends with the session')
  t.equal((await browser.open('/account')).step, 'login')
})

t.test('RP-Initiated Logout §2: who says no stays signed in', async (t) => {
  const { browser, tokens } = await signedInAt(server, client, user)
  const page = await browser.open(logoutUrl({ id_token_hint: tokens.id_token, post_logout_redirect_uri: afterLogout }))
  const no = await browser.submit(page, {}, { button: 'logout-no' })
  t.equal(no.left, undefined)
  t.match(no.text, /You are still signed in/)
  t.equal((await browser.open('/account')).url.pathname, '/account')
  const neither = await browser.submit(page)
  t.match(neither.text, /Do you want to sign out\?/, 'no button: the question again')
})

t.test('RP-Initiated Logout §2: without anywhere to go, a page says that it is done', async (t) => {
  const hints = [{}, { state: 'alone' }, { logout_hint: 'ada@example.com', ui_locales: 'de en' }]
  for (const request of [...hints, { id_token_hint: '' }, { client_id: client.clientId }]) {
    const { browser } = await signedInAt(server, client, user)
    const page = await browser.open(logoutUrl(request))
    const done = await browser.submit(page, {}, { button: 'logout-yes' })
    t.equal(done.status, 200)
    t.match(done.html, /<h1 id="logout-done">You have signed out<\/h1>/)
    t.notOk(browser.cookies.has('ostiary_session'))
  }
})

t.test('RP-Initiated Logout §2: an application of our own is not asked about what it began itself', async (t) => {
  const own = await server.createClient({ ...relyingParty, first_party: true })
  const first = await signedInAt(server, own, user)
  const request = { id_token_hint: first.tokens.id_token, post_logout_redirect_uri: afterLogout, state: 'x' }
  const done = await first.browser.open(logoutUrl(request))
  t.equal(done.left?.href, `${afterLogout}?state=x`, 'by one click')
  t.equal((await userInfo(first.tokens.access_token)).statusCode, 401)

  const second = await signedInAt(server, own, user)
  const asked = await second.browser.open(logoutUrl(request))
  t.match(asked.text, /Do you want to sign out\?/, 'a session of before is another')
  const without = await second.browser.open(
    logoutUrl({ client_id: own.clientId, post_logout_redirect_uri: afterLogout }),
  )
  t.match(without.text, /Do you want to sign out\?/, 'anybody could say that')
})

t.test('RP-Initiated Logout §2: where nobody is signed in there is nothing to ask', async (t) => {
  const { browser, tokens } = await signedInAt(server, client, user)
  server.clock.advance(8 * 86_400)
  const hinted = logoutUrl({ id_token_hint: tokens.id_token, post_logout_redirect_uri: afterLogout, state: '1' })
  for (const each of [browser, new TestBrowser(server)]) {
    t.equal((await each.open(hinted)).left?.href, `${afterLogout}?state=1`, 'an ID token of any age')
    t.notOk(each.cookies.has('ostiary_session'))
  }
  const named = { client_id: client.clientId, post_logout_redirect_uri: afterLogout, state: '2' }
  const page = await new TestBrowser(server).open(logoutUrl(named))
  t.equal(page.left, undefined, 'a link that anybody can write leads nowhere by itself')
  t.match(page.text, /You have signed out/)
  t.match(page.links[0], { href: `${afterLogout}?state=2`, text: 'Go on to app.example' })
  t.match((await new TestBrowser(server).open('/logout')).text, /You have signed out/)
})

t.test('RP-Initiated Logout §2: by POST, also from a page of the application', async (t) => {
  const { browser, tokens } = await signedInAt(server, client, user)
  const form = { id_token_hint: tokens.id_token, post_logout_redirect_uri: afterLogout, state: 's' }
  for (const crossSite of [false, true]) {
    const page = await browser.post('/logout', form, { crossSite })
    t.match(page.text, /Do you want to sign out\?.*ada@example\.com/, 'the cookie comes along')
  }
  const twice = await browser.post('/logout?state=x', form)
  t.equal(twice.status, 400, 'in one place alone (attack 9)')
  const page = await browser.post('/logout', form, { crossSite: true })
  t.equal((await browser.submit(page, {}, { button: 'logout-yes' })).left?.href, `${afterLogout}?state=s`)
})

t.test('an id_token_hint may have 32 KiB', async (t) => {
  const { browser, tokens } = await signedInAt(server, client, user)
  const claims = { ...claimsOfToken(tokens.id_token), padding: 'x'.repeat(23_000) }
  const long = await server.ctx.keys.sign(claims, { alg: 'RS256', typ: 'JWT' })
  t.ok(long.length > 30_000 && long.length <= 32_768)
  const form = { id_token_hint: long, post_logout_redirect_uri: afterLogout }
  t.match((await browser.post('/logout', form)).text, /Acme Notes asks/)
  t.match((await browser.open(`/logout?${new URLSearchParams(form)}`)).text, /Acme Notes asks/)
  t.match((await browser.post('/logout', form, { crossSite: true })).text, /Acme Notes asks/, 'too long for an address')
  t.match((await browser.post('/logout', { ...form, id_token_hint: 'x'.repeat(32_769) })).status, 400)
})

t.test(
  'RP-Initiated Logout §2: a hint counts as long as its session, also where its key has left the JWKS',
  async (t) => {
    const own = await server.createClient({ ...relyingParty, first_party: true })
    const [first, second] = [await signedInAt(server, own, user), await signedInAt(server, own, user)]
    const request = { id_token_hint: first.tokens.id_token, post_logout_redirect_uri: afterLogout }
    const { kid } = decodeProtectedHeader(first.tokens.id_token)
    await server.ctx.keys.rotate('now', { actor: 'operator' })
    server.clock.advance(7_200)
    await server.ctx.keys.refresh()
    const published = (await server.get('/jwks')).json().keys as { kid: string }[]
    t.notOk(
      published.some((key) => key.kid === kid),
      'it is published no more',
    )
    t.equal((await userInfo(first.tokens.access_token)).statusCode, 401)
    t.equal((await first.browser.open(logoutUrl(request))).left?.href, afterLogout)

    await server.ctx.keys.end(undefined, { actor: 'operator' })
    const ended = { ...request, id_token_hint: second.tokens.id_token }
    const page = await second.browser.open(logoutUrl(ended))
    t.match(page.text, /Do you want to sign out\?/, 'one that was ended counts as none')
    t.notMatch(page.text, /app\.example/)
    const named = await second.browser.open(logoutUrl({ ...ended, client_id: own.clientId }))
    t.match(named.text, /Afterwards you go to app\.example/)
  },
)

t.test('RP-Initiated Logout §3: the redirect URI keeps its own query', async (t) => {
  const uris = ['https://app.example/out?a=b', 'https://app.example/out?']
  const of = await server.createClient({ ...relyingParty, first_party: true, post_logout_redirect_uris: uris })
  for (const [uri, state, expected] of [
    [uris[0]!, 's', 'https://app.example/out?a=b&state=s'],
    [uris[0]!, undefined, 'https://app.example/out?a=b'],
    [uris[1]!, 's', 'https://app.example/out?state=s'],
  ] as const) {
    const { browser, tokens } = await signedInAt(server, of, user)
    const page = await browser.open(logoutUrl({ id_token_hint: tokens.id_token, post_logout_redirect_uri: uri, state }))
    t.equal(page.left?.href, expected)
  }
})

t.test('RP-Initiated Logout §2.1: the endpoint is published', async (t) => {
  const metadata = (await server.get('/.well-known/openid-configuration')).json()
  t.equal(metadata.end_session_endpoint, 'http://localhost:3000/logout')
  t.equal((await server.get('/.well-known/oauth-authorization-server')).json().end_session_endpoint, undefined)
})

t.test('what was posted by mistake does not get into the address of that link (attack 73)', async (t) => {
  const form = { client_id: client.clientId, state: 's', password: 'hunter2 hunter2', x: 'y' }
  const reply = await server.post('/logout', form)
  t.equal(reply.headers.location, `/logout?client_id=${client.clientId}&state=s`)
})

t.test('two clicks at once sign out once', async (t) => {
  const { browser, tokens } = await signedInAt(server, client, user)
  const page = await browser.open(logoutUrl({ id_token_hint: tokens.id_token, post_logout_redirect_uri: afterLogout }))
  const before = (await server.audit('session.revoked')).length
  const { address, form } = page.form('logout-yes')
  const replies = await Promise.all(Array.from({ length: 8 }, () => browser.request('POST', address, { form })))
  t.ok(replies.every(({ statusCode }) => statusCode === 303 || statusCode === 200))
  t.equal((await server.audit('session.revoked')).length, before + 1)
})
