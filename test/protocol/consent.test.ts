import { decodeJwt } from 'jose'
import t from 'tap'
import { updateClient } from '../../src/clients/index.js'
import { createRole, grantRole } from '../../src/resources/index.js'
import { authorizationUrl, authorize, logIn, type Person, redirectUri, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { verifier } from '../support/grants.js'
import { createTestServer, registration, sql, type TestClient } from '../support/server.js'

const api = 'https://api.example'
const server = await createTestServer(t)
const { clientId: resourceServer } = await server.createResource(api, 'read write', {
  name: 'Files',
  scopes: [{ name: 'read', description: 'See your files' }, { name: 'write' }],
})

let people = 0
const person = () => server.createUser(`person-${++people}@example.com`)

const grantsOf = async ({ clientId }: TestClient) =>
  (await sql(server, 'SELECT scope FROM authorization_grant WHERE client_id = $1 ORDER BY created_at', [clientId])).map(
    ({ scope }) => scope,
  )
const eventsOf = async ({ clientId }: TestClient, type: string) =>
  (await server.audit(type)).filter((event) => event.clientId === clientId)

async function atConsent(client: TestClient, user: Person, parameters: Record<string, string> = {}) {
  const browser = await signedIn(server, user)
  return { browser, page: await browser.open(authorizationUrl(client, parameters)) }
}

t.test('the page says who asks, for what, in whose name and where it leads', async (t) => {
  t.ok(resourceServer)
  const client = await server.createClient({
    client_name: 'Photo <b>Prints</b>',
    client_uri: 'https://prints.example/',
    scope: 'openid read write email',
    required_scope: 'read',
  })
  const user = await person()
  const { page } = await atConsent(client, user, { scope: 'openid read write email' })
  t.equal(page.step, 'consent')
  t.match(page.text, /Photo <b>Prints<\/b> wants access to your account/)
  t.match(page.text, /app\.example/)
  t.match(page.text, new RegExp(user.email))
  t.match(page.text, /On Files , it asks to/)
  t.match(page.text, /See your files Required/)
  t.same(
    page.inputs.filter(({ name }) => name === 'scope').map(({ value, checked }) => [value, checked]),
    [
      ['email', true],
      ['write', true],
    ],
    'openid and what the client requires cannot be unticked',
  )
  const policy = String(page.reply.headers['content-security-policy'])
  t.match(policy, /form-action 'self' https:\/\/app\.example;/, 'browsers hold the redirect after a form to it')
  t.match(policy, /frame-ancestors 'none'/)
  t.match(page.reply.headers, { 'cache-control': 'no-store', 'x-frame-options': 'DENY' })
})

t.test('an API of which every scope was unticked is not what the token is for', async (t) => {
  const client = await server.createClient({ scope: 'openid read write' })
  const { browser, page } = await atConsent(client, await person(), { scope: 'openid read write' })
  const { answer } = await browser.submit(page, { scope: [] }, { button: 'consent-allow' })
  const form = {
    grant_type: 'authorization_code',
    code: answer['code']!,
    redirect_uri: redirectUri,
    code_verifier: verifier,
  }
  const tokens = (await server.post('/token', form, { authorization: client.basic })).json()
  t.equal(tokens.scope, 'openid')
  t.equal(decodeJwt(tokens.access_token).aud, server.ctx.config.server.issuer)
})

t.test('what is unticked is not granted, and not asked for again', async (t) => {
  const client = await server.createClient({ scope: 'read write' })
  const { browser, page } = await atConsent(client, await person(), { scope: 'read write' })
  const done = await browser.submit(page, { scope: ['read'] }, { button: 'consent-allow' })
  t.match(done.answer, { code: /^oac_/ })
  t.match((await browser.open(authorizationUrl(client, { scope: 'read write' }))).answer, { code: /^oac_/ })
  t.same(await grantsOf(client), [['read'], ['read']])
  t.match(await eventsOf(client, 'consent.given'), [
    { detail: { granted: ['read'], refused: ['write'], remembered: true } },
  ])

  const again = await browser.open(authorizationUrl(client, { scope: 'read write', prompt: 'consent' }))
  t.same(
    again.inputs.filter(({ name }) => name === 'scope').map(({ value, checked }) => [value, checked]),
    [
      ['read', true],
      ['write', false],
    ],
    'asked again, the page shows what was decided',
  )
  await browser.submit(again, { scope: ['read', 'write'] }, { button: 'consent-allow' })
  t.same((await grantsOf(client)).at(-1), ['read', 'write'])
})

t.test('what was not on the page cannot be ticked', async (t) => {
  const client = await server.createClient({ scope: 'read write' })
  const { browser, page } = await atConsent(client, await person(), { scope: 'read' })
  await browser.submit(page, { scope: ['read', 'write', 'admin'] }, { button: 'consent-allow' })
  t.same(await grantsOf(client), [['read']])
})

t.test('consent is remembered per user, client and scope', async (t) => {
  const client = await server.createClient({ scope: 'read write' })
  const another = await server.createClient({ scope: 'read write' })
  const user = await person()
  await authorize(server, client, user, { scope: 'read' })
  const { browser, page } = await atConsent(client, user, { scope: 'read' })
  t.match(page.answer, { code: /^oac_/ })
  t.equal((await browser.open(authorizationUrl(client, { scope: 'read write' }))).step, 'consent')
  t.equal((await browser.open(authorizationUrl(another, { scope: 'read' }))).step, 'consent')
  t.equal((await atConsent(client, await person(), { scope: 'read' })).page.step, 'consent')
})

t.test('RFC 6749 §4.1.2.1: deny sends access_denied to the client, and remembers nothing', async (t) => {
  const client = await server.createClient({ scope: 'read' })
  const user = await person()
  const { browser, page } = await atConsent(client, user, { scope: 'read' })
  const done = await browser.submit(page, {}, { button: 'consent-deny' })
  t.match(done.answer, { error: 'access_denied', state: 'the state', iss: 'http://localhost:3000' })
  t.match(await eventsOf(client, 'consent.denied'), [{ reason: 'user_denied', subject: user.id }])
  t.equal((await browser.open(authorizationUrl(client, { scope: 'read' }))).step, 'consent')
  t.same(await grantsOf(client), [])
})

t.test('to untick everything is to deny', async (t) => {
  const client = await server.createClient({ scope: 'read' })
  const { browser, page } = await atConsent(client, await person(), { scope: 'read' })
  const done = await browser.submit(page, { scope: [] }, { button: 'consent-allow' })
  t.match(done.answer, { error: 'access_denied' })
  t.equal((await browser.open(authorizationUrl(client, { scope: 'read' }))).step, 'consent', 'and is not remembered')
})

t.test('RFC 8252 §8.6: a native client is asked about every time, and nothing is remembered', async (t) => {
  const client = await server.createClient({ application_type: 'native', scope: 'read', first_party: true })
  const { browser, page } = await atConsent(client, await person(), { scope: 'read' })
  t.match(page.text, /an app on this device/)
  t.match((await browser.submit(page, {}, { button: 'consent-allow' })).answer, { code: /^oac_/ })
  t.equal((await browser.open(authorizationUrl(client, { scope: 'read' }))).step, 'consent')
  t.same(await sql(server, 'SELECT 1 FROM consent WHERE client_id = $1', [client.clientId]), [])
})

t.test('the forms may lead to the redirect URI, whatever its scheme', async (t) => {
  const uris = { 'com.example.app:/cb': 'com.example.app:', 'http://127.0.0.1:4711/cb': 'http://127.0.0.1:4711' }
  const client = await server.createClient({ application_type: 'native', redirect_uris: Object.keys(uris) })
  const user = await person()
  for (const [uri, source] of Object.entries(uris)) {
    const browser = new TestBrowser(server)
    const login = await browser.open(authorizationUrl(client, { redirect_uri: uri }))
    const consent = await logIn(browser, login, user)
    for (const page of [login, consent]) {
      t.ok(String(page.reply.headers['content-security-policy']).includes(`form-action 'self' ${source};`))
    }
  }
})

t.test('a first-party client needs no consent', async (t) => {
  const client = await server.createClient({ scope: 'openid read', first_party: true })
  const { page } = await atConsent(client, await person(), { scope: 'openid read' })
  t.match(page.answer, { code: /^oac_/ })
  t.same(await grantsOf(client), [['openid', 'read']])
})

t.test('nothing but a sign-in: asked once', async (t) => {
  const client = await server.createClient()
  const { browser, page } = await atConsent(client, await person())
  t.match(page.text, /wants to sign you in/)
  await browser.submit(page, {}, { button: 'consent-allow' })
  t.match((await browser.open(authorizationUrl(client))).answer, { code: /^oac_/ })
})

t.test('use another account: the session ends, and the login page comes', async (t) => {
  const client = await server.createClient({ scope: 'read' })
  const ann = await person()
  const ben = await person()
  const { browser, page } = await atConsent(client, ann, { scope: 'read' })
  const login = await browser.submit(page, {}, { button: 'switch_account' })
  t.equal(login.step, 'login')
  t.notOk(browser.cookies.has('ostiary_session'))
  const [session] = await sql(server, 'SELECT end_reason FROM session WHERE user_id = $1', [ann.id])
  t.equal(session?.end_reason, 'account_switched')
  const consent = await logIn(browser, login, ben)
  t.match(consent.text, new RegExp(ben.email))
  t.match((await browser.submit(consent, {}, { button: 'consent-allow' })).answer, { code: /^oac_/ })
})

t.test('a page that shows another account decides nothing', async (t) => {
  const client = await server.createClient({ scope: 'read' })
  const ben = await person()
  const { browser, page } = await atConsent(client, await person(), { scope: 'read' })
  const elsewhere = await browser.open(authorizationUrl(client, { prompt: 'login' }))
  await logIn(browser, elsewhere, ben)
  const refused = await browser.submit(page, {}, { button: 'consent-allow' })
  t.equal(refused.status, 403)
  const fresh = await browser.open(refused.links[0]?.href ?? '')
  t.match(fresh.text, new RegExp(ben.email))
})

t.test('a session that ended while the page was open: sign in again', async (t) => {
  const client = await server.createClient({ scope: 'read' })
  const user = await person()
  const { browser, page } = await atConsent(client, user, { scope: 'read' })
  await sql(server, 'UPDATE session SET ended_at = $1 WHERE user_id = $2', [server.clock.now(), user.id])
  const login = await browser.submit(page, {}, { button: 'consent-allow' })
  t.equal(login.step, 'login')
  t.same(await grantsOf(client), [])
})

t.test('of 200 answers to one question, at two processes, exactly one is taken', async (t) => {
  const beside = await createTestServer(t, { beside: server })
  const client = await server.createClient({ scope: 'read' })
  const { browser, page } = await atConsent(client, await person(), { scope: 'read' })
  const twin = new TestBrowser(beside)
  for (const cookie of browser.cookies.values()) twin.cookies.set(cookie.name, cookie)
  const allow = page.form('consent-allow').form
  const deny = page.form('consent-deny').form
  const replies = await Promise.all(
    Array.from({ length: 200 }, (_, index) =>
      (index % 2 ? twin : browser).request('POST', page.url.href, { form: index % 10 > 7 ? deny : allow }),
    ),
  )
  const answers = replies.filter(({ statusCode }) => statusCode === 303)
  t.equal(answers.length, 1, 'one answer goes to the client')
  const [answer] = answers
  const codes = String(answer?.headers.location).includes('code=oac_') ? 1 : 0
  t.equal((await grantsOf(client)).length, codes)
  t.equal(replies.filter(({ statusCode }) => statusCode === 400).length, 199)
  const events = [...(await eventsOf(client, 'consent.given')), ...(await eventsOf(client, 'consent.denied'))]
  t.equal(events.length, 1)
})

t.test('a page from before a role was granted does not allow what it did not show', async (t) => {
  const [files, archive] = ['https://files.example', 'https://archive.example']
  for (const identifier of [files, archive]) await server.createResource(identifier, 'share')
  const by = { actor: 'operator' }
  await createRole(server.ctx, { resource: archive, name: 'keeper', scope: ['share'] }, by)
  const client = await server.createClient({ scope: 'share' })
  const user = await person()
  const browser = await signedIn(server, user)
  const page = await browser.open(authorizationUrl(client, { scope: 'share', resource: [files, archive] }))
  t.equal(page.step, 'consent')
  t.notMatch(page.text, archive)

  await grantRole(server.ctx, archive, 'keeper', { kind: 'user', holder: user.id }, by)
  const refused = await browser.submit(page, {}, { button: 'consent-allow' })
  t.equal(refused.status, 403)
  t.same(await grantsOf(client), [])
  t.match((await browser.open(page.url.href)).text, archive, 'the page now shows it')
})

t.test('a redirect URI that is taken back while the user decides gets neither a code nor a refusal', async (t) => {
  for (const button of ['consent-allow', 'consent-deny']) {
    const client = await server.createClient({ scope: 'openid' })
    const { browser, page } = await atConsent(client, await person(), { scope: 'openid' })
    t.equal(page.step, 'consent')
    await updateClient(server.ctx, client.clientId, { redirect_uris: ['https://app.example/other'] }, registration)
    const done = await browser.submit(page, {}, { button })
    t.equal(done.left, undefined, button)
    t.equal(done.status, 400)
  }
})
