import t from 'tap'
import { QueueFullError } from '../../src/platform/crypto/password.js'
import { authorizationUrl, authorize, logIn, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { verifier } from '../support/grants.js'
import { createTestServer, sql } from '../support/server.js'

const server = await createTestServer(t)
const { ctx } = server

let people = 0
const person = () => server.createUser(`person-${++people}@example.com`)
const sessionsOf = ({ id }: { readonly id: string }) =>
  sql(server, 'SELECT id, ended_at, end_reason, idle_expires_at FROM session WHERE user_id = $1 ORDER BY created_at', [
    id,
  ])
const eventsOf = async (clientId: string, type: string) =>
  (await server.audit(type)).filter((event) => event.clientId === clientId)

t.test('a wrong password is told after a redirect, and loading the page again tries nothing', async (t) => {
  const client = await server.createClient()
  const user = await person()
  const browser = new TestBrowser(server)
  const page = await browser.open(authorizationUrl(client))
  const { form } = page.form('login-submit', { username: user.email, password: 'wrong password' })
  const reply = await browser.request('POST', page.url.href, { form })
  t.equal(reply.statusCode, 303)
  t.equal(reply.headers.location, page.url.pathname)

  const computed = ctx.passwords.computed
  for (const again of [await browser.open(page.url.href), await browser.open(page.url.href)]) {
    t.equal(again.status, 200)
    t.match(again.text, /The e-mail address or the password is wrong/)
    t.equal(again.inputs.find(({ name }) => name === 'username')?.value, user.email)
    t.equal(again.inputs.find(({ name }) => name === 'password')?.value, '')
  }
  t.equal(ctx.passwords.computed, computed)
  t.match(await eventsOf(client.clientId, 'login.failed'), [
    { reason: 'password_wrong', subject: user.id, actor: 'system', ip: '192.0.2.10', requestId: String },
  ])
  t.equal((await logIn(browser, await browser.open(page.url.href), user)).step, 'consent')
})

t.test('the e-mail address is compared in its normalised form', async (t) => {
  const client = await server.createClient({ first_party: true })
  const { email, password } = await person()
  const browser = new TestBrowser(server)
  const page = await browser.open(authorizationUrl(client))
  t.match((await logIn(browser, page, { email: `  ${email.toUpperCase()} `, password })).answer, { code: /^oac_/ })
})

t.test('the session cookie is kept from scripts and from other sites, and ends with the browser', async (t) => {
  const client = await server.createClient({ first_party: true })
  const browser = new TestBrowser(server)
  const page = await browser.open(authorizationUrl(client))
  const { email, password } = await person()
  const { form } = page.form('login-submit', { username: email, password })
  const reply = await browser.request('POST', page.url.href, { form })
  t.equal(reply.statusCode, 303)
  t.match(reply.headers['set-cookie'], [
    /^ostiary_session=oss_[a-z0-9]+_[A-Za-z0-9_-]{43}; Path=\/; HttpOnly; SameSite=Lax$/,
    /^ostiary_device=[\w.-]{70,72}; Max-Age=15552000; Path=\/; HttpOnly; SameSite=Lax$/,
  ])
})

t.test('an https issuer: __Host- cookies, and the same flow', async (t) => {
  const https = await createTestServer(t, { env: { ISSUER: 'https://auth.example/oauth' } })
  const client = await https.createClient()
  const browser = new TestBrowser(https)
  const login = await browser.open(`/oauth${authorizationUrl(client)}`)
  t.equal(login.step, 'login')
  t.match(login.url.pathname, /^\/oauth\/interaction\//)
  const consent = await logIn(browser, login, await https.createUser())
  const done = await browser.submit(consent, {}, { button: 'consent-allow' })
  t.match(done.answer, { code: /^oac_/, iss: 'https://auth.example/oauth' })
  const names = ['__Host-ostiary_browser', '__Host-ostiary_device', '__Host-ostiary_session']
  t.same([...browser.cookies.keys()].sort(), names)
  for (const cookie of browser.cookies.values())
    t.match(cookie, { secure: true, httpOnly: true, path: '/', sameSite: 'Lax' })
})

t.test('a session ends when it is not used, and at its age', async (t) => {
  const { idleLifetime, lifetime } = ctx.config.sessions
  const user = await person()
  const client = await server.createClient({ first_party: true })
  const browser = await signedIn(server, user)
  const open = async () => (await browser.open(authorizationUrl(client, { prompt: 'none' }))).answer

  server.clock.advance(idleLifetime - 1)
  t.match(await open(), { code: /^oac_/ }, 'its use begins the idle time anew')
  server.clock.advance(idleLifetime - 1)
  t.match(await open(), { code: /^oac_/ })
  server.clock.advance(idleLifetime)
  t.match(await open(), { error: 'login_required' })

  const again = await signedIn(server, user)
  for (let age = 0; age < lifetime - idleLifetime / 2; age += idleLifetime / 2) {
    server.clock.advance(idleLifetime / 2)
    await again.open(authorizationUrl(client, { prompt: 'none' }))
  }
  server.clock.advance(idleLifetime / 2)
  t.match((await again.open(authorizationUrl(client, { prompt: 'none' }))).answer, { error: 'login_required' })
})

t.test('the idle time is written at most every 5 minutes', async (t) => {
  const user = await person()
  const client = await server.createClient({ first_party: true })
  const browser = await signedIn(server, user)
  const idleEnd = async () => (await sessionsOf(user))[0]?.idle_expires_at
  const first = await idleEnd()
  server.clock.advance(299)
  await browser.open(authorizationUrl(client))
  t.same(await idleEnd(), first)
  server.clock.advance(1)
  await browser.open(authorizationUrl(client))
  t.same(await idleEnd(), new Date(first.getTime() + 300_000))
})

t.test('a login replaces the session of its browser, and of no other', async (t) => {
  const ann = await person()
  const ben = await person()
  const client = await server.createClient()
  const elsewhere = await signedIn(server, ann)
  const browser = await signedIn(server, ann)
  const login = await browser.open(authorizationUrl(client, { prompt: 'login' }))
  const consent = await logIn(browser, login, ben)

  t.match(consent.text, /Allow/)
  t.match(consent.text, new RegExp(ben.email))
  t.match(await sessionsOf(ann), [{ ended_at: null }, { ended_at: Date, end_reason: 'session_replaced' }])
  t.match(await sessionsOf(ben), [{ ended_at: null }])
  t.match((await elsewhere.open(authorizationUrl(client, { prompt: 'none' }))).answer, { error: 'consent_required' })
  const ended = (await server.audit('session.revoked')).filter(({ subject }) => subject === ann.id)
  t.match(ended, [{ actor: `user:${ann.id}`, reason: 'session_replaced' }])
  t.match(await eventsOf(client.clientId, 'login.succeeded'), [{ subject: ben.id, actor: `user:${ben.id}` }])
})

t.test('whoever proves anew who they are keeps the session, under a new cookie', async (t) => {
  const user = await person()
  const other = await server.createClient({ grant_types: ['authorization_code', 'refresh_token'] })
  const browser = await signedIn(server, user)
  const before = browser.cookies.get('ostiary_session')!.value
  const { code } = await authorize(server, other, user, {}, browser)
  const form = {
    grant_type: 'authorization_code',
    code: code!,
    redirect_uri: 'https://app.example/cb',
    code_verifier: verifier,
  }
  const tokens = (await server.post('/token', form, { authorization: other.basic })).json()

  server.clock.advance(60)
  const asked = await browser.open(
    authorizationUrl(await server.createClient({ first_party: true }), { prompt: 'login' }),
  )
  t.ok((await logIn(browser, asked, user)).answer['code'])
  t.match(await sessionsOf(user), [{ ended_at: null }], 'one session')
  t.not(browser.cookies.get('ostiary_session')!.value, before, 'attack 28: not its old cookie')

  const thief = new TestBrowser(server)
  thief.cookies.set('ostiary_session', { ...browser.cookies.get('ostiary_session')!, value: before })
  t.equal((await thief.open(authorizationUrl(other))).step, 'login', 'which is worth nothing')
  const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
  t.equal(
    (await server.post('/token', refresh, { authorization: other.basic })).statusCode,
    200,
    'other applications go on',
  )
})

t.test('a second tab, the back button: who is signed in goes on', async (t) => {
  const client = await server.createClient()
  const user = await person()
  const browser = new TestBrowser(server)
  const one = await browser.open(authorizationUrl(client))
  const two = await browser.open(authorizationUrl(client, { state: 'two' }))
  await logIn(browser, one, user)
  t.equal((await browser.open(two.url.href)).step, 'consent', 'the other tab is loaded again')
  t.equal((await browser.open(one.url.href)).step, 'consent', 'back to the login page')
  const consent = await logIn(browser, two, user)
  t.equal(consent.step, 'consent', 'the form of the other tab still works')
  const done = await browser.submit(consent, {}, { button: 'consent-allow' })
  t.match(done.answer, { code: /^oac_/, state: 'two' })
})

t.test('a browser without cookies is told so, with a way on', async (t) => {
  const client = await server.createClient()
  const page = await new TestBrowser(server, { cookies: false }).open(
    authorizationUrl(client, { login_hint: 'ann@example.com' }),
  )
  t.equal(page.status, 400)
  t.match(page.text, /Something went wrong.*cookie/)
  t.match(page.text, /Allow cookies for this site/)
  const [again] = page.links
  t.match(again, { text: 'Start again', href: /^http:\/\/localhost:3000\/authorize\?/ })
  t.notMatch(again?.href, /ann/, 'whoever has the address may be somebody else')
  t.equal((await new TestBrowser(server).open(again?.href ?? '')).step, 'login')
})

t.test('a login that took too long leads back to its beginning', async (t) => {
  const client = await server.createClient({ first_party: true })
  const user = await person()
  const browser = new TestBrowser(server)
  const page = await browser.open(authorizationUrl(client, { login_hint: 'ann@example.com', prompt: 'login' }))
  server.clock.advance(ctx.config.sessions.interactionLifetime)
  const late = await logIn(browser, page, user)
  t.equal(late.status, 400)
  t.equal(late.url.pathname, page.url.pathname, 'the page stays on its address')
  t.match(late.text, /took too long or was already finished/)
  t.match(late.html, /id="request-id"/)
  const again = await browser.open(late.links[0]?.href ?? '')
  t.equal(again.step, 'login')
  t.equal(again.inputs.find(({ name }) => name === 'username')?.value, 'ann@example.com')
  t.match((await logIn(browser, again, user)).answer, { code: /^oac_/, state: 'the state' })
})

t.test('too many failures: 429 with Retry-After before any hash is computed, and the page says when', async (t) => {
  const client = await server.createClient({ first_party: true })
  const user = await person()
  const browser = new TestBrowser(server, { ip: '198.51.100.1' })
  let page = await browser.open(authorizationUrl(client))
  for (let failures = 0; failures < ctx.config.limits.failuresPerAccount; failures++) {
    page = await logIn(browser, page, { email: user.email, password: `wrong password ${failures}` })
    t.equal(page.status, 200)
    t.equal(page.reply.headers.ratelimit, undefined, 'nobody is told how many guesses are left')
  }
  const computed = ctx.passwords.computed
  const held = await logIn(browser, page, user)
  t.equal(held.status, 429)
  t.match(held.reply.headers['retry-after'], /^[1-9]\d*$/)
  t.match(held.reply.headers, {
    'ratelimit-policy': '"failures";q=10;w=600',
    ratelimit: `"failures";r=0;t=${held.reply.headers['retry-after']}`,
  })
  t.match(held.text, /too many attempts that failed.*try again in \d+/)
  t.equal(held.step, 'login')
  t.equal(ctx.passwords.computed, computed)

  server.clock.advance(Number(held.reply.headers['retry-after']))
  t.match((await logIn(browser, held, user)).answer, { code: /^oac_/ })
})

t.test('too many hashes wait: 503 with Retry-After, and nothing is counted', async (t) => {
  const client = await server.createClient({ first_party: true })
  const user = await person()
  const browser = new TestBrowser(server, { ip: '198.51.100.200' })
  const page = await browser.open(authorizationUrl(client))
  const { passwords } = ctx
  const full = () => Promise.reject(new QueueFullError())
  Object.assign(ctx, { passwords: { ...passwords, verify: full, verifyAgainstNothing: full } })
  try {
    for (let attempt = 0; attempt <= ctx.config.limits.failuresPerAccount; attempt++) {
      const refused = await logIn(browser, page, user)
      t.equal(refused.status, 503)
      t.equal(refused.step, 'login')
      t.match(refused.reply.headers['retry-after'], /^[1-9]\d*$/)
      t.match(refused.text, /The server is busy/)
    }
  } finally {
    Object.assign(ctx, { passwords })
  }
  t.match((await logIn(browser, page, user)).answer, { code: /^oac_/ })
})

t.test('after ten failures a minute one event stands for the rest', async (t) => {
  const client = await server.createClient()
  const browser = new TestBrowser(server, { ip: '198.51.100.77' })
  let page = await browser.open(authorizationUrl(client))
  for (let attempt = 0; attempt < 14; attempt++) {
    page = await logIn(browser, page, { email: `nobody-${attempt}@example.com`, password: 'wrong password' })
  }
  const events = await eventsOf(client.clientId, 'login.failed')
  t.same(events.map(({ count }) => count).sort(), [...Array.from({ length: 10 }, () => 1), 4])
})

t.test('the database is away: a page that says so, no redirect, and the login works afterwards', async (t) => {
  const lost = await createTestServer(t)
  const client = await lost.createClient({ first_party: true })
  const user = await lost.createUser()
  const browser = new TestBrowser(lost)
  const page = await browser.open(authorizationUrl(client))
  const connect = lost.ctx.db.pool.connect
  lost.ctx.db.pool.connect = () => Promise.reject(Object.assign(new Error('away'), { code: 'ECONNREFUSED' }))
  const query = lost.ctx.db.pool.query
  lost.ctx.db.pool.query = () => Promise.reject(Object.assign(new Error('away'), { code: 'ECONNREFUSED' }))
  for (const each of [await logIn(browser, page, user), await browser.open(authorizationUrl(client))]) {
    t.equal(each.status, 503)
    t.match(each.reply.headers['retry-after'], /^[1-9]\d*$/)
    t.match(each.text, /Something went wrong/)
    t.notOk(each.left)
  }
  lost.ctx.db.pool.connect = connect
  lost.ctx.db.pool.query = query
  t.match((await logIn(browser, page, user)).answer, { code: /^oac_/ })
})

t.test('no password and no cookie is written down', async (t) => {
  const user = await person()
  const client = await server.createClient()
  const browser = new TestBrowser(server)
  await authorize(server, client, { email: user.email, password: 'a wrong password' }, {}, browser).catch(
    () => undefined,
  )
  const { code = '' } = await authorize(server, client, user, {}, browser)
  const written = [...server.logs, JSON.stringify(await server.audit())].join('\n')
  const secrets = [user.password, 'a wrong password', code, ...[...browser.cookies.values()].map(({ value }) => value)]
  for (const secret of secrets) t.notOk(written.includes(secret))
  t.notOk(written.includes(user.email), 'nor an e-mail address')
})
