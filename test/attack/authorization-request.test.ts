import t from 'tap'
import { authorizationQuery, authorizationUrl, logIn, redirectUri, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { verifier } from '../support/grants.js'
import { createTestServer, sql } from '../support/server.js'

const server = await createTestServer(t)
await server.createResource('https://api.example', 'read write')
const client = await server.createClient({ scope: 'read write' })
const trusted = await server.createClient({ first_party: true })
const user = await server.createUser()
const browser = await signedIn(server, user)

const grants = async () => Number((await sql(server, 'SELECT count(*) FROM authorization_grant'))[0]?.count)

t.test('attack 15: response types that this server does not have', async (t) => {
  for (const type of ['token', 'id_token', 'id_token token', 'code token', 'none', 'CODE', 'code code']) {
    const { answer, left } = await browser.open(authorizationUrl(trusted, { response_type: type }))
    t.match(answer, { error: 'unsupported_response_type', state: 'the state' }, type)
    t.equal(left?.hash, '')
  }
})

t.test('attack 16: response modes', async (t) => {
  for (const mode of ['web_message', 'query.jwt', 'fragment.jwt', 'form_post.jwt', 'QUERY', 'Form_Post']) {
    const { answer } = await browser.open(authorizationUrl(trusted, { response_mode: mode }))
    t.match(answer, { error: 'invalid_request' }, mode)
  }
  const { answer } = await browser.open(authorizationUrl(trusted, { response_mode: 'query', response_type: 'token' }))
  t.match(answer, { error: 'unsupported_response_type' }, 'no token ever comes in a query')
})

t.test('attack 17: huge parameters', async (t) => {
  const huge = 'x'.repeat(1024 * 1024)
  for (const name of ['state', 'nonce', 'scope', 'unheard_of']) {
    const form = Object.fromEntries(new URLSearchParams(authorizationQuery(trusted)))
    const posted = await browser.post('/authorize', { ...form, [name]: huge })
    t.equal(posted.status, 413)
    const page = await browser.open(authorizationUrl(trusted, { [name]: 'x'.repeat(9000) }))
    t.ok(page.status === 400 || page.answer['error'] === 'invalid_request', name)
    t.notOk('code' in page.answer)
  }
  t.equal((await browser.open(authorizationUrl(trusted, { state: 'x'.repeat(4097) }))).status, 400)
  t.equal((await browser.open(authorizationUrl(trusted, { state: 'x'.repeat(4096) }))).answer['state']?.length, 4096)
  const many = await browser.open(`${authorizationUrl(trusted)}${'&a=b'.repeat(20_000)}`)
  t.equal(many.status, 400)
})

t.test('attack 18: a repeated parameter', async (t) => {
  const before = await grants()
  const names = ['response_type', 'scope', 'code_challenge', 'code_challenge_method', 'prompt', 'nonce', 'unheard_of']
  for (const name of names) {
    const page = await browser.open(`${authorizationUrl(trusted)}&${name}=code&${name}=code`)
    t.match(page.answer, { error: 'invalid_request', state: 'the state', iss: 'http://localhost:3000' }, name)
  }
  const state = await browser.open(`${authorizationUrl(trusted)}&state=other`)
  t.match(state.answer, { error: 'invalid_request' })
  t.notOk('state' in state.answer, 'which of two is meant is not known')
  for (const name of ['client_id', 'redirect_uri']) {
    const page = await browser.open(`${authorizationUrl(trusted)}&${name}=x`)
    t.equal(page.status, 400)
    t.notOk(page.left)
  }
  t.equal(await grants(), before)
})

t.test('attack 19: prompt=none without a login shows no page', async (t) => {
  const reply = await new TestBrowser(server).request('GET', authorizationUrl(trusted, { prompt: 'none' }))
  t.equal(reply.statusCode, 303)
  t.match(reply.headers.location, /^https:\/\/app\.example\/cb\?error=login_required&.*state=the\+state&iss=/)
  t.notOk(reply.headers['set-cookie'])
})

t.test('attack 20: prompt=none with another', async (t) => {
  for (const prompt of ['none login', 'login none', 'none none consent']) {
    t.match((await browser.open(authorizationUrl(trusted, { prompt }))).answer, { error: 'invalid_request' }, prompt)
  }
})

t.test('attack 21: max_age=0 asks for the password, and the new time is told', async (t) => {
  const again = await signedIn(server, user)
  server.clock.advance(30)
  const page = await again.open(authorizationUrl(trusted, { max_age: '0' }))
  t.equal(page.step, 'login')
  t.match((await logIn(again, page, user)).answer, { code: /^oac_/ })
  const [grant] = await sql(server, 'SELECT auth_time FROM authorization_grant ORDER BY created_at DESC LIMIT 1')
  t.same(grant?.auth_time, server.clock.now())
})

t.test('attack 22: with an id_token_hint of another user nobody is answered but that one', async (t) => {
  const openid = await server.createClient({ scope: 'openid', first_party: true })
  const { answer } = await browser.open(authorizationUrl(openid, { scope: 'openid' }))
  const form = { grant_type: 'authorization_code', code: answer['code'] ?? '', redirect_uri: redirectUri }
  const redeemed = await server.post('/token', { ...form, code_verifier: verifier }, { authorization: openid.basic })
  const hint: string = redeemed.json().id_token
  const other = await server.createUser('grace@example.com')
  const another = await signedIn(server, other)
  const asked = { scope: 'openid', id_token_hint: hint }
  const before = await grants()

  const silent = await another.open(authorizationUrl(openid, { ...asked, prompt: 'none' }))
  t.match(silent.answer, { error: 'login_required', state: 'the state', iss: 'http://localhost:3000' })
  t.notOk('code' in silent.answer)

  const page = await another.open(authorizationUrl(openid, asked))
  t.equal(page.step, 'login', 'the session of another is not taken')
  const insisting = await logIn(another, page, other)
  t.match(insisting.answer, { error: 'login_required', state: 'the state' })
  t.notOk('code' in insisting.answer)
  t.equal(await grants(), before)
  await server.ctx.audit.flush()
  t.match(
    (await server.audit('request.refused')).filter(({ reason }) => reason === 'login_select_account'),
    [{ clientId: openid.clientId }],
  )

  // The one who is meant is answered.
  const own = await browser.open(authorizationUrl(openid, { ...asked, prompt: 'none' }))
  t.match(own.answer, { code: /^oac_/ })
})

t.test('attack 25: a finished flow is not repeated, and nothing in it can be changed', async (t) => {
  const page = await browser.open(authorizationUrl(client, { scope: 'read' }))
  t.equal(page.step, 'consent')
  const { address, form } = page.form('consent-allow')
  const before = await grants()
  const changed = {
    client_id: trusted.clientId,
    redirect_uri: 'https://evil.tld',
    response_type: 'token',
    state: 'evil',
  }
  const done = await browser.post(`${address}?${new URLSearchParams(changed)}`, { ...form, ...changed })
  t.equal(`${done.left?.origin}${done.left?.pathname}`, redirectUri)
  t.match(done.answer, { code: /^oac_/, state: 'the state' })
  t.equal(await grants(), before + 1)

  const login = page.url.href.replace(/consent$/, 'login')
  for (const again of [
    await browser.post(address, form),
    await browser.open(address),
    await browser.open(login),
    await browser.post(login, { ...form, username: user.email, password: user.password }),
  ]) {
    t.equal(again.status, 400)
    t.notOk(again.left)
    t.match(again.text, /already finished/)
    t.match(again.links, [{ text: 'Start again', href: /^http:\/\/localhost:3000\/authorize\?/ }])
  }
  t.equal(await grants(), before + 1)
  for (const id of [
    'x',
    `oin_0_${'a'.repeat(43)}`,
    `oss_${'a'.repeat(43)}`,
    '%00',
    "'",
    `oin_zzzzzz_${'a'.repeat(43)}`,
  ]) {
    const unknown = await browser.open(`/interaction/${id}/consent`)
    t.equal(unknown.status, 400, id)
  }
})

t.test('attack 26: an empty form skips no stage', async (t) => {
  const before = await grants()
  const stranger = new TestBrowser(server)
  const login = await stranger.open(authorizationUrl(trusted))
  const { csrf_token: token = '' } = login.form('login-submit').form
  t.equal((await stranger.post(login.url.href, { csrf_token: token })).step, 'login')
  t.equal((await stranger.post(login.url.href, { csrf_token: token, username: '', password: '' })).step, 'login')
  t.equal((await stranger.open(login.url.href.replace(/login$/, 'consent'))).step, 'login')
  t.equal((await stranger.post(login.url.href.replace(/login$/, 'consent'), { action: 'allow' })).step, 'login')

  const consent = await browser.open(authorizationUrl(client, { scope: 'read write' }))
  const { form } = consent.form('consent-allow')
  t.equal((await browser.post(consent.url.href, { csrf_token: form['csrf_token'] ?? '' })).step, 'consent')
  t.equal((await browser.post(consent.url.href, { ...form, action: 'maybe' })).step, 'consent')
  t.equal(await grants(), before)
})

t.test('attack 27: what one browser began another cannot finish', async (t) => {
  const before = await grants()
  const page = await browser.open(authorizationUrl(client, { scope: 'read write', login_hint: 'ada@example.com' }))
  t.equal(page.step, 'consent')
  const { form } = page.form('consent-allow')
  const other = await signedIn(server, user)
  await other.open(authorizationUrl(client))
  for (const attempt of [
    await other.open(page.url.href),
    await other.open(page.url.href.replace(/consent$/, 'login')),
    await other.post(page.url.href, form),
    await new TestBrowser(server).post(page.url.href, form),
  ]) {
    t.equal(attempt.status, 400)
    t.notOk(attempt.left)
    t.match(attempt.text, /not started in this browser/)
    t.equal(attempt.links[0]?.text, 'Start again')
    t.notOk(attempt.html.includes('ada@'), 'whose login it is stays unsaid')
  }
  t.equal(await grants(), before + 1, 'the one of the portal')
  t.match((await browser.submit(page, {}, { button: 'consent-allow' })).answer, { code: /^oac_/ }, 'the first one can')
})

t.test('attack 29: scopes that are unknown or no scopes', async (t) => {
  for (const scope of [
    'unknown',
    'read "write"',
    'read\\',
    'réad',
    'READ',
    'read  write',
    ' read',
    '__proto__',
    'constructor',
  ]) {
    const { answer } = await browser.open(authorizationUrl(client, { scope }))
    t.match(answer, { error: 'invalid_scope' }, scope)
    t.match(answer['error_description'], /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/, 'RFC 6749 §4.1.2.1')
  }
})

t.test('attack 43: the challenge method plain, said or meant', async (t) => {
  for (const method of ['plain', 's256', 'S512', undefined]) {
    const { answer } = await browser.open(authorizationUrl(trusted, { code_challenge_method: method }))
    t.match(answer, { error: 'invalid_request' }, `${method}`)
  }
})

t.test('attack 44: no challenge', async (t) => {
  const publicClient = await server.createClient({ token_endpoint_auth_method: 'none' })
  const exempt = await server.createClient({ require_pkce: false, first_party: true })
  const without = { code_challenge: undefined, code_challenge_method: undefined }
  for (const each of [publicClient, trusted]) {
    t.match((await browser.open(authorizationUrl(each, without))).answer, { error: 'invalid_request' })
  }
  t.match((await browser.open(authorizationUrl(exempt, without))).answer, { code: /^oac_/ })
  const half = await browser.open(authorizationUrl(exempt, { code_challenge: undefined }))
  t.match(half.answer, { error: 'invalid_request' })
  for (const challenge of ['short', 'x'.repeat(44), `${'x'.repeat(42)}+`]) {
    const malformed = await browser.open(authorizationUrl(exempt, { code_challenge: challenge }))
    t.match(malformed.answer, { error: 'invalid_request' })
  }
})
