import t from 'tap'
import { createUser } from '../../src/identity/index.js'
import { atAccount, openAccountScene } from '../support/account.js'
import { authorizationUrl, logIn, signedIn } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { createTestServer, sql } from '../support/server.js'

const scene = await openAccountScene(t)
const { server, ada, bob } = scene

t.test('whoever is not signed in signs in, and comes back to the page', async (t) => {
  for (const path of ['/account', '/account/api-keys']) {
    const browser = new TestBrowser(server)
    const login = await browser.open(path)
    t.equal(login.step, 'login')
    t.match(login.text, /Sign in to continue to your account/)
    const failed = await logIn(browser, login, { ...ada, password: 'not the password' })
    t.match(failed.text, /wrong/)
    const page = await logIn(browser, failed, ada)
    t.equal(page.url.pathname, path)
    t.equal(page.status, 200)
  }
  t.match((await server.audit('login.succeeded')).at(-1), { subject: ada.id, clientId: undefined })
  t.match((await server.audit('login.failed')).at(-1), { subject: ada.id, clientId: undefined })
})

t.test('a session of an application’s login is one here, and the other way round', async (t) => {
  const browser = await signedIn(server, ada)
  t.match((await browser.open('/account')).text, /ada@example\.com/)
  const other = await atAccount(server, bob)
  const client = await server.createClient({ first_party: true })
  t.ok((await other.open(authorizationUrl(client))).answer['code'])
})

t.test('the login page of a page of ours leads there, also when it is opened again', async (t) => {
  const browser = new TestBrowser(server)
  const login = await browser.open('/account')
  await logIn(browser, login, ada)
  t.equal((await browser.open(login.url.href)).url.pathname, '/account', 'by the back button')
  const consent = login.url.pathname.replace('/login', '/consent')
  t.equal((await browser.open(consent)).url.pathname, '/account', 'it has no other step')
  t.equal((await browser.post(consent, { action: 'allow' })).url.pathname, '/account')

  const late = new TestBrowser(server)
  const page = await late.open('/account')
  server.clock.advance(server.ctx.config.sessions.interactionLifetime + 1)
  const over = await logIn(late, page, ada)
  t.match(over.text, /took too long/)
  t.match(over.links, [{ href: 'http://localhost:3000/account', text: 'Start again' }])
})

t.test('signing out ends the session, its tokens’ too', async (t) => {
  const browser = await atAccount(server, ada)
  const cookie = browser.cookies.get('ostiary_session')!
  const done = await browser.submit(await browser.open('/account'), {}, { button: 'sign_out' })
  t.equal(done.url.pathname, '/account/signed-out')
  t.match(done.text, /You are signed out/)
  t.notOk(browser.cookies.has('ostiary_session'))
  t.match((await server.audit('session.revoked')).at(-1), { reason: 'signed_out', subject: ada.id })
  browser.cookies.set(cookie.name, cookie)
  t.equal((await browser.open('/account')).step, 'login', 'who kept the cookie has nothing')
})

t.test('OIDC Core §3.1.2.1 max_age: what makes and ends keys asks for a login of a few minutes ago', async (t) => {
  const browser = await atAccount(server, ada)
  const form = await browser.open('/account/api-keys/new')
  t.equal(form.url.pathname, '/account/api-keys/new')
  const { address, form: filled } = form.form('make-key', { name: 'Late', scope: 'https://api.example read' })

  server.clock.advance(900)
  const intime = await browser.request('POST', address, { form: filled })
  t.equal(intime.statusCode, 200, 'fifteen minutes are enough')
  server.clock.advance(1)
  const next = await browser.open('/account/api-keys')
  t.equal(next.status, 200, 'to look is allowed')
  const again = await browser.post(address, filled)
  t.equal(again.step, 'login')
  t.match(again.text, /You are signed in already/)
  t.match(again.inputs.find(({ name }) => name === 'username')?.value, ada.email)
  const id = /api-keys\/([0-9A-Za-z]{16})"/.exec(next.html)?.[1]
  for (const act of ['change', 'rotate', 'end']) {
    t.equal((await browser.open(`/account/api-keys/${id}/${act}`)).step, 'login', act)
    t.equal((await browser.post(`/account/api-keys/${id}/${act}`, {})).step, 'login', act)
  }
  const session = browser.cookies.get('ostiary_session')?.value
  const back = await logIn(browser, again, ada)
  t.equal(back.url.pathname, '/account/api-keys/new')
  t.equal(back.status, 200)
  t.not(browser.cookies.get('ostiary_session')?.value, session)

  server.clock.advance(601)
  t.equal(
    (await browser.open('/account/api-keys/new')).step,
    'login',
    'before a form, so that there is time to fill it in',
  )
})

t.test('whoever signs in as somebody else sees the other account', async (t) => {
  const browser = await atAccount(server, ada)
  server.clock.advance(901)
  const login = await browser.open('/account/api-keys/new')
  const page = await logIn(browser, login, bob)
  t.equal(page.url.pathname, '/account/api-keys/new')
  t.match((await browser.open('/account')).text, /bob@example\.com/)
})

t.test('a user who is disabled, or has no name', async (t) => {
  const carol = await createUser(server.ctx, { email: 'carol@example.com', password: 'battery staple' }, { actor: 'x' })
  const browser = await atAccount(server, { email: 'carol@example.com', password: 'battery staple' })
  await sql(server, 'UPDATE user_account SET disabled_at = now() WHERE id = $1', [carol.id])
  t.equal((await browser.open('/account')).step, 'login')
})

t.test('where the issuer has a path, all lies below it', async (t) => {
  const under = await createTestServer(t, { env: { ISSUER: 'http://localhost:3000/auth' } })
  const user = await under.createUser()
  const browser = new TestBrowser(under)
  const page = await logIn(browser, await browser.open('/auth/account'), user)
  t.equal(page.url.pathname, '/auth/account')
  t.same(
    [...new Set(page.links.map(({ href }) => href))],
    ['', '/sessions', '/applications', '/api-keys'].map((part) => `/auth/account${part}`),
  )
  const out = await browser.submit(page, {}, { button: 'sign_out' })
  t.equal(out.url.pathname, '/auth/account/signed-out')
})
