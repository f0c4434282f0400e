import pg from 'pg'
import t from 'tap'
import { authorizationUrl, logIn, signedIn } from '../support/authorization.js'
import { TestBrowser, type TestPage } from '../support/browser.js'
import { createTestServer, sql } from '../support/server.js'

const server = await createTestServer(t)
const { ctx } = server
const client = await server.createClient({ scope: 'openid' })
const trusted = await server.createClient({ first_party: true })

let people = 0
const person = () => server.createUser(`person-${++people}@example.com`)
let networks = 0
/** Failures of one test must not hold back another. */
const somewhere = () => new TestBrowser(server, { ip: `203.0.${++networks}.9` })

t.test('attack 23: a consent without our form token, or with one of another session, does nothing', async (t) => {
  const user = await person()
  const browser = await signedIn(server, user)
  const page = await browser.open(authorizationUrl(client, { scope: 'openid' }))
  const { form } = page.form('consent-allow')
  const { csrf_token: _, ...bare } = form
  const other = await signedIn(server, user)
  const foreign = (await other.open(authorizationUrl(client, { scope: 'openid' }))).form('consent-allow').form
  const loginForm = (await somewhere().open(authorizationUrl(client))).form('login-submit').form
  for (const wrong of [
    bare,
    foreign,
    { ...bare, csrf_token: loginForm['csrf_token'] ?? '' },
    { ...bare, csrf_token: 'x' },
  ]) {
    const refused = await browser.post(page.url.href, wrong)
    t.equal(refused.status, 403)
    t.equal(refused.url.pathname, page.url.pathname)
    t.match(refused.links, [{ text: 'Load the page again', href: page.url.pathname }])
  }
  t.same(await sql(server, 'SELECT 1 FROM authorization_grant WHERE client_id = $1', [client.clientId]), [])
  t.match((await browser.submit(page, {}, { button: 'consent-allow' })).answer, { code: /^oac_/ })
})

t.test('attack 24: no page may be framed', async (t) => {
  const browser = somewhere()
  const login = await browser.open(authorizationUrl(client, { scope: 'openid' }))
  const consent = await logIn(browser, login, await person())
  for (const page of [login, consent, await browser.open('/authorize')]) {
    t.match(page.reply.headers['content-security-policy'], /frame-ancestors 'none'/)
    t.equal(page.reply.headers['x-frame-options'], 'DENY')
  }
})

t.test('attack 28: the session id is new at each login, and a planted one is not taken', async (t) => {
  const user = await person()
  const browser = somewhere()
  const planted = (await signedIn(server, await person())).cookies.get('ostiary_session')
  const idOf = () => browser.cookies.get('ostiary_session')?.value
  if (planted) browser.cookies.set(planted.name, { ...planted, value: planted.value.replace(/.$/, 'A') })
  await logIn(browser, await browser.open(authorizationUrl(trusted)), user)
  const first = idOf()
  t.not(first, planted?.value)
  await logIn(browser, await browser.open(authorizationUrl(trusted, { prompt: 'login' })), user)
  const second = idOf()
  t.not(second, first, 'at step-up')

  // What was known before is worth nothing now.
  const thief = somewhere()
  for (const value of [first, 'garbage']) {
    const cookie = browser.cookies.get('ostiary_session')
    if (cookie) thief.cookies.set(cookie.name, { ...cookie, value: value ?? '' })
    t.match((await thief.open(authorizationUrl(trusted, { prompt: 'none' }))).answer, { error: 'login_required' })
  }
  const consent = await browser.open(authorizationUrl(client, { prompt: 'consent' }))
  await browser.submit(consent, {}, { button: 'switch_account' })
  t.equal(idOf(), undefined, 'at the end')
  const cookie = [...thief.cookies.values()].at(-1)
  if (cookie) thief.cookies.set(cookie.name, { ...cookie, value: second ?? '' })
  t.match((await thief.open(authorizationUrl(trusted, { prompt: 'none' }))).answer, { error: 'login_required' })
})

t.test('attack 30: nobody is signed in by the form of another site', async (t) => {
  const attacker = await person()
  const own = somewhere()
  const page = await own.open(authorizationUrl(trusted))
  const { form, address } = page.form('login-submit', { username: attacker.email, password: attacker.password })
  const victim = somewhere()
  const elsewhere = await victim.open(authorizationUrl(trusted))
  for (const [to, sent] of [
    [address, form],
    [elsewhere.url.href, form],
  ] as const) {
    for (const crossSite of [true, false]) {
      const refused = await victim.post(to, sent, { crossSite })
      t.ok([400, 403].includes(refused.status), String(refused.status))
      t.notOk(victim.cookies.has('ostiary_session'))
    }
  }
})

t.test('attack 100: an account that exists and one that does not get the same answer for the same work', async (t) => {
  const known = await person()
  const disabled = await person()
  await sql(server, 'UPDATE user_account SET disabled_at = $1 WHERE id = $2', [server.clock.now(), disabled.id])
  const passwordless = await person()
  await sql(server, 'UPDATE user_account SET password_hash = NULL WHERE id = $1', [passwordless.id])

  const seen: unknown[] = []
  const { query } = pg.Client.prototype
  t.teardown(() => {
    pg.Client.prototype.query = query
  })
  for (const [email, password] of [
    [known.email, 'not the password'],
    ['person-x@example.com', 'not the password'],
    [disabled.email, disabled.password],
    [disabled.email, 'not the password'],
    [passwordless.email, 'not the password'],
    ['not an address', 'not the password'],
    ['a@b@c', 'x'.repeat(5000)],
  ] as const) {
    const browser = somewhere()
    const page = await browser.open(authorizationUrl(client))
    const { form } = page.form('login-submit', { username: email, password })
    const computed = ctx.passwords.computed
    let statements = 0
    pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
      statements++
      return Reflect.apply(query, this, args)
    } as typeof query
    const reply = await browser.request('POST', page.url.href, { form })
    pg.Client.prototype.query = query
    const after = await browser.open(page.url.href)
    seen.push({
      status: reply.statusCode,
      body: reply.body,
      headers: Object.keys(reply.headers).sort(),
      hashes: ctx.passwords.computed - computed,
      statements,
      shown: after.text,
    })
  }
  for (const each of seen) t.same(each, seen[0])
  t.match(seen[0], { status: 303, hashes: 1 })
  const reasons = (await server.audit('login.failed')).slice(-7).map(({ reason, subject }) => [reason, subject])
  t.same(
    reasons.sort(),
    [
      ['account_disabled', disabled.id],
      ['account_disabled', disabled.id],
      ['account_unknown', undefined],
      ['account_unknown', undefined],
      ['account_unknown', undefined],
      ['password_not_set', passwordless.id],
      ['password_wrong', known.id],
    ].sort(),
  )
})

async function fail(browser: TestBrowser, email: string, headers?: Record<string, string>): Promise<TestPage> {
  const page = await browser.open(authorizationUrl(trusted))
  return browser.submit(
    page,
    { username: email, password: 'not the password' },
    { button: 'login-submit', ...(headers ? { headers } : {}) },
  )
}

t.test('attack 101: guesses are counted by account and network, however the address is written', async (t) => {
  const { failuresPerAccount: bound } = ctx.config.limits
  const { email } = await person()
  const spellings = ['192.0.2.200', '192.0.2.201', '::ffff:192.0.2.202', '::ffff:c000:2cb']
  for (let attempt = 0; attempt < bound; attempt++) {
    const browser = new TestBrowser(server, { ip: spellings[attempt % spellings.length] ?? '' })
    // A header that nobody asked us to believe.
    const page = await fail(browser, attempt % 2 ? email : ` ${email.toUpperCase()}`, {
      'x-forwarded-for': `10.0.0.${attempt}`,
    })
    t.equal(page.status, 200)
  }
  for (const ip of spellings) t.equal((await fail(new TestBrowser(server, { ip }), email)).status, 429, ip)

  const six = await person()
  for (let attempt = 0; attempt < bound; attempt++) {
    await fail(new TestBrowser(server, { ip: `2001:db8:0:7::${attempt}` }), six.email)
  }
  t.equal(
    (await fail(new TestBrowser(server, { ip: '2001:DB8::7:ffff:0:0:1' }), six.email)).status,
    429,
    'the same /64',
  )
  t.equal((await fail(new TestBrowser(server, { ip: '2001:db8:0:8::1' }), six.email)).status, 200)
})

t.test('attack 101: one password on many accounts is counted by network', async (t) => {
  const few = await createTestServer(t, { env: { FAILURES_PER_NETWORK: '12', FAILURES_PER_ACCOUNT: '10' } })
  const application = await few.createClient({ first_party: true })
  const user = await few.createUser()
  const browser = new TestBrowser(few)
  const page = await browser.open(authorizationUrl(application))
  for (let account = 0; account < 12; account++) {
    const each = await logIn(browser, page, { email: `nobody-${account}@example.com`, password: 'Spring2026!!' })
    t.equal(each.status, 200)
  }
  const { computed } = few.ctx.passwords
  t.equal((await logIn(browser, page, { email: 'nobody-x@example.com', password: 'Spring2026!!' })).status, 429)
  t.equal(few.ctx.passwords.computed, computed)
  const elsewhere = new TestBrowser(few, { ip: '198.51.100.4' })
  const login = await elsewhere.open(authorizationUrl(application))
  t.match((await logIn(elsewhere, login, user)).answer, { code: /^oac_/ })
})

t.test('attack 101: of many guesses at once no more than the bound compute a hash', async (t) => {
  const { failuresPerAccount: bound } = ctx.config.limits
  const { email } = await person()
  const browser = somewhere()
  const page = await browser.open(authorizationUrl(trusted))
  const { form } = page.form('login-submit', { username: email, password: 'not the password' })
  const { computed } = ctx.passwords
  const replies = await Promise.all(Array.from({ length: 40 }, () => browser.request('POST', page.url.href, { form })))
  t.ok(ctx.passwords.computed - computed <= bound + 1, `${ctx.passwords.computed - computed} hashes`)
  t.ok(replies.filter(({ statusCode }) => statusCode === 429).length >= 29)
})

t.test('attack 102: nobody can lock somebody else out from another network', async (t) => {
  const user = await person()
  const attacker = somewhere()
  for (let attempt = 0; attempt <= ctx.config.limits.failuresPerAccount; attempt++) await fail(attacker, user.email)
  t.equal((await fail(attacker, user.email)).status, 429)
  const browser = somewhere()
  const page = await browser.open(authorizationUrl(trusted))
  t.match((await logIn(browser, page, user)).answer, { code: /^oac_/ })
})

t.test('attack 108: addresses that only look alike are no account', async (t) => {
  const { password } = await server.createUser('alice@example.com')
  const tries = [
    'alice＠example.com',
    'alice@example.com\r\nBcc: x@evil.tld',
    'alice@еxample.com',
    'alice@example.com.',
    'al.ice@example.com',
    'alice@example.com@evil.tld',
  ]
  for (const email of tries) {
    const browser = somewhere()
    const page = await browser.open(authorizationUrl(trusted))
    const tried = await logIn(browser, page, { email, password })
    t.notOk(tried.left, email)
    t.notOk(browser.cookies.has('ostiary_session'))
  }
  const browser = somewhere()
  const page = await browser.open(authorizationUrl(trusted))
  t.match((await logIn(browser, page, { email: 'ＡLICE@Example.COM', password })).answer, { code: /^oac_/ })
})

t.test('nobody fills the database by beginning logins: a network has a bound, and a page says so', async (t) => {
  const bounded = await createTestServer(t, { env: { INTERACTIONS_PER_NETWORK: '10' } })
  const app = await bounded.createClient({ scope: 'openid' })
  const rows = async () => Number((await sql(bounded, 'SELECT count(*) AS n FROM interaction'))[0]?.['n'])
  const begin = (ip: string, address = authorizationUrl(app)) => new TestBrowser(bounded, { ip }).open(address)
  const replies = await Promise.all(Array.from({ length: 40 }, () => begin('198.51.100.7')))
  t.equal(replies.filter(({ status }) => status === 200).length, 10, 'of all at once, so many')
  t.equal(await rows(), 10)
  const refused = await new TestBrowser(bounded, { ip: '198.51.100.8' }).request('GET', authorizationUrl(app))
  t.equal(refused.statusCode, 429, 'of the network, not of the address')
  t.ok(Number(refused.headers['retry-after']) > 0)
  t.equal(refused.headers['ratelimit-policy'], '"logins";q=10;w=600')
  t.match(refused.headers['content-type'], 'text/html')
  t.equal((await begin('198.51.100.9', '/account')).status, 429, 'however it is begun')
  t.equal((await begin('203.0.113.1')).status, 200, 'others sign in')
})
