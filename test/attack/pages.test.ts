import t from 'tap'
import { authorizationQuery, authorizationUrl, logIn, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { createTestServer, sql } from '../support/server.js'

const server = await createTestServer(t)
const client = await server.createClient({ scope: 'openid' })
const trusted = await server.createClient({ first_party: true })
const user = await server.createUser()

t.test('attack 98: a client cannot look like another', async (t) => {
  const names = ['Goo\u200bgle', '\u202eelgooG', 'Google\u0000', '  Google  ', 'Ｇoogle']
  for (const [index, name] of names.entries()) {
    const liar = await server.createClient({ client_name: 'placeholder', scope: 'openid' })
    // Past the checks of registration, as a row from elsewhere would be.
    await sql(server, 'UPDATE client SET client_name = $1 WHERE client_id = $2', [
      name.replaceAll('\u0000', ''),
      liar.clientId,
    ])
    await server.refresh()
    const browser = new TestBrowser(server)
    const login = await browser.open(authorizationUrl(liar, { scope: 'openid' }))
    const consent = await logIn(browser, login, user)
    for (const page of [login, consent]) {
      t.match(page.text, /app\.example/, 'the host that was checked stands beside the name')
      t.notMatch(page.html, /[\u200b\u202e\uff27]/, String(index))
    }
  }
})

t.test('attack 124: nothing that is sent ends a header field', async (t) => {
  const browser = await signedIn(server, user)
  const query = authorizationQuery(trusted, { state: 'STATE' })
  for (const state of ['%0d%0aSet-Cookie:%20a=b', '%0a%0a<script>', '%E5%98%8A%E5%98%8D', '%00']) {
    const reply = await browser.request('GET', `/authorize?${query.replace('STATE', state)}`)
    t.match(String(reply.headers.location), /^https:\/\/app\.example\/cb\?[\x21-\x7e]+$/)
    t.notOk(reply.headers['set-cookie'])
  }
  const page = await browser.open(`/authorize?${query.replace('%2Fcb', '%2Fcb%0d%0aX:%20y')}`)
  t.equal(page.status, 400)
})

t.test('attack 125: a posted password is never posted on', async (t) => {
  const browser = new TestBrowser(server)
  const login = await browser.open(authorizationUrl(client, { scope: 'openid' }))
  const right = login.form('login-submit', { username: user.email, password: user.password }).form
  const wrong = { ...right, password: 'not the password' }
  for (const form of [wrong, right]) {
    t.equal((await browser.request('POST', login.url.href, { form })).statusCode, 303)
  }
  const consent = await browser.open(login.url.href)
  const answer = consent.form('consent-allow').form
  t.equal((await browser.request('POST', consent.url.href, { form: answer })).statusCode, 303)
})

t.test('attack 126: pages and redirects are not stored, and tell nobody where they were', async (t) => {
  const browser = new TestBrowser(server)
  const login = await browser.open(authorizationUrl(client, { scope: 'openid' }))
  const replies = [
    await browser.request('GET', authorizationUrl(client, { scope: 'openid' })),
    login.reply,
    await browser.request('GET', '/authorize'),
    await browser.request('POST', login.url.href, { form: {} }),
  ]
  for (const reply of replies) {
    t.match(reply.headers, { 'cache-control': 'no-store', pragma: 'no-cache', 'referrer-policy': 'no-referrer' })
  }
  t.match(login.html, /<meta name="referrer" content="no-referrer"/)
})

t.test('attack 127: what others wrote is text on our pages', async (t) => {
  const script = '<script>alert(1)</script>'
  const liar = await server.createClient({
    client_name: script,
    scope: 'openid',
    policy_uri: 'https://app.example/?"><b>',
  })
  const browser = new TestBrowser(server)
  const parameters = { scope: 'openid', login_hint: `"${script}`, state: script, ui_locales: script, prompt: 'login' }
  const login = await browser.open(authorizationUrl(liar, parameters))
  const failed = await logIn(browser, login, { email: `'">${script}`, password: 'x' })
  const consent = await logIn(browser, failed, user)
  t.equal(consent.step, 'consent')
  const unknown = await browser.open(
    authorizationUrl({ clientId: script }, { redirect_uri: script, error_description: script }),
  )
  const stranger = await new TestBrowser(server).open(consent.url.href)
  for (const page of [login, failed, consent, unknown, stranger]) {
    t.notMatch(page.html, /<script/i)
    t.match(page.reply.headers['content-security-policy'], /^default-src 'none'; style-src 'nonce-[\w-]+'; /)
  }
})

t.test('attack 128: cookies that are not ours are no cookies', async (t) => {
  const browser = await signedIn(server, user)
  const session = browser.cookies.get('ostiary_session')?.value ?? ''
  const silent = authorizationUrl(trusted, { prompt: 'none' })
  const headerOf = async (cookie: string) => {
    const { location } = (await server.get(silent, { cookie })).headers
    return String(location).includes('code=oac_')
  }
  t.ok(await headerOf(`ostiary_session=${session}`))
  t.notOk(await headerOf(`ostiary_session=tossed; ostiary_session=${session}`), 'which of two is ours is not known')
  t.notOk(await headerOf(`ostiary_session=${session}; ostiary_session=${session}`))
  t.notOk(await headerOf(`ostiary_session="${session}"`))
  t.notOk(await headerOf(`OSTIARY_SESSION=${session}`))
  t.notOk(await headerOf(`ostiary_session=${'x'.repeat(8000)}`))
  t.notOk(await headerOf(`ostiary_session=${session}%00`))
  t.ok(await headerOf(`theme=dark; ;;=; ostiary_session=${session}; a=b`), 'those of others do not matter')

  const https = await createTestServer(t, { env: { ISSUER: 'https://auth.example' } })
  const secure = await signedIn(https, await https.createUser())
  const names = ['__Host-ostiary_browser', '__Host-ostiary_device', '__Host-ostiary_session']
  t.same([...secure.cookies.keys()].sort(), names)
  const value = secure.cookies.get('__Host-ostiary_session')?.value
  const application = await https.createClient({ first_party: true })
  const reply = await https.get(authorizationUrl(application, { prompt: 'none' }), {
    cookie: `ostiary_session=${value}`,
  })
  t.match(reply.headers.location, /error=login_required/, 'without its prefix a sibling domain could have set it')
})
