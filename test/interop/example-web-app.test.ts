import t, { type Test } from 'tap'
import { createDelivery } from '../../src/jobs/index.js'
import { TestBrowser } from '../support/browser.js'
import {
  createDemoServer,
  type ExampleServer,
  type RunningExample,
  startExample,
  Visitor,
} from '../support/examples.js'
import { tls } from '../support/own-tls.js'
import { visitByQuery } from '../support/relying-party.js'
import { deliver } from '../support/telling.js'

async function setUp(t: Test) {
  const server = await createDemoServer(t)
  const app = await startExample(t, server, 'web-app')
  return { server, app }
}

/** To where the app is called back, and no further. The browser may be signed in at the server. */
async function signIn(server: ExampleServer, visitor: Visitor, browser?: TestBrowser): Promise<URL> {
  const began = await visitor.request('/login')
  return visitByQuery(server, new URL(began.headers.get('location') ?? ''), server.user, { browser })
}

const pathOf = (url: URL): string => url.pathname + url.search

async function home(app: RunningExample, cookie = ''): Promise<string> {
  return (await fetch(app.origin, { headers: { cookie } })).text()
}

t.test('examples/web-app: a person signs in, and is greeted by what UserInfo says, after a refresh too', async (t) => {
  const { server, app } = await setUp(t)
  const visitor = new Visitor(app.origin)
  t.match(await (await visitor.request('/')).text(), 'Nobody is signed in')

  const left = await signIn(server, visitor)
  t.equal(left.origin, app.origin)
  const before = [...visitor.cookies.values()][0]
  const ended = await visitor.request(pathOf(left))
  t.equal(ended.status, 303)
  t.equal(ended.headers.get('location'), '/')
  t.match(visitor.setCookies.at(-1), /^web_app_session=[\w-]+; Path=\/; HttpOnly; SameSite=Lax$/)
  t.not([...visitor.cookies.values()][0], before, 'a login gives the session a new id')
  t.match(await home(app, `web_app_session=${before}`), 'Nobody is signed in')

  const page = await visitor.request('/')
  t.match(page.headers.get('content-security-policy'), /default-src 'none'.*frame-ancestors 'none'/)
  t.equal(page.headers.get('cache-control'), 'no-store')
  t.match(await page.text(), /Hello, Demo User.*demo@localhost\.example/s)
  t.equal((await visitor.request(pathOf(left))).status, 400, 'an answer is good once')

  t.same(await server.audit('token.refreshed'), [])
  await app.advance(575)
  const pages = await Promise.all([1, 2, 3].map(async () => (await visitor.request('/')).text()))
  for (const text of pages) t.match(text, /Hello, Demo User/)
  t.equal((await server.audit('token.refreshed')).length, 1, 'once, however often it is asked at once')
})

t.test('Back-Channel Logout §2.5: one click signs out of every app that was signed in to by the session', async (t) => {
  const { server, app } = await setUp(t)
  const backend = await startExample(t, server, 'backend-for-frontend')
  const browser = new TestBrowser(server)
  const here = new Visitor(app.origin)
  const again = new Visitor(app.origin)
  const there = new Visitor(backend.origin)
  for (const visitor of [here, again, there]) {
    t.equal((await visitor.request(pathOf(await signIn(server, visitor, browser)))).status, 303)
  }
  const elsewhere = new Visitor(app.origin)
  await elsewhere.request(pathOf(await signIn(server, elsewhere)))

  const out = await here.request('/logout', { method: 'POST', body: new URLSearchParams() })
  t.equal(out.status, 303)
  const { left } = await browser.open(out.headers.get('location') ?? '')
  t.equal(left?.href, `${app.origin}/`, 'nothing was asked')
  t.match(await (await here.request('/')).text(), 'Nobody is signed in')
  t.match(await server.audit('session.revoked'), [{ reason: 'logout_requested' }])

  const delivery = createDelivery(server.ctx)
  t.teardown(() => delivery.stop())
  await deliver(delivery)
  t.match(await (await again.request('/')).text(), 'Nobody is signed in')
  const headers = { 'x-csrf': '1', 'sec-fetch-site': 'same-origin' }
  t.equal((await there.request('/api/orders', { headers })).status, 401)
  t.match(await (await elsewhere.request('/')).text(), 'Hello, Demo User', 'another session goes on')
  t.match(await browser.open('/account').then(({ step, text }) => step ?? text), 'login')
})

t.test(
  'examples/web-app: the same over the TLS of the server, by a certificate that NODE_EXTRA_CA_CERTS names',
  async (t) => {
    const server = await createDemoServer(t, { env: tls })
    t.match(server.ctx.config.server.issuer, /^https:/)
    const app = await startExample(t, server, 'web-app')
    const [here, again] = [new Visitor(app.origin), new Visitor(app.origin)]
    const browser = new TestBrowser(server)
    for (const visitor of [here, again]) await visitor.request(pathOf(await signIn(server, visitor, browser)))
    await app.advance(575)
    t.match(await (await again.request('/')).text(), 'Hello, Demo User')
    t.equal((await server.audit('token.refreshed')).length, 1)
    const out = await here.request('/logout', { method: 'POST', body: new URLSearchParams() })
    t.equal((await browser.open(out.headers.get('location') ?? '')).left?.href, `${app.origin}/`)
    const delivery = createDelivery(server.ctx)
    t.teardown(() => delivery.stop())
    await deliver(delivery)
    t.match(await (await again.request('/')).text(), 'Nobody is signed in')
  },
)

t.test('Back-Channel Logout §2.6: what is no logout token of the server ends nothing', async (t) => {
  const { server, app } = await setUp(t)
  const visitor = new Visitor(app.origin)
  await visitor.request(pathOf(await signIn(server, visitor)))
  const sub = (await server.audit('login.succeeded'))[0]?.subject
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: server.ctx.config.server.issuer, aud: 'web-app', sub, iat: now, exp: now + 60, jti: 'one' }
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  const sign = (claims: object, typ: string) => server.ctx.keys.sign(claims, { alg: 'RS256', typ })
  const tell = async (token: string): Promise<number> => {
    const body = new URLSearchParams({ logout_token: token })
    return (await fetch(`${app.origin}/backchannel-logout`, { method: 'POST', body })).status
  }
  for (const token of [
    '',
    await sign({ ...claims, events }, 'JWT'),
    await sign({ ...claims, events: { 'https://other.example/event': {} } }, 'logout+jwt'),
    await sign({ ...claims, events, aud: 'another' }, 'logout+jwt'),
    await sign({ ...claims, events, exp: now - 60 }, 'logout+jwt'),
  ]) {
    t.equal(await tell(token), 400)
  }
  t.match(await (await visitor.request('/')).text(), 'Hello, Demo User')
  t.equal(await tell(await sign({ ...claims, events }, 'logout+jwt')), 200)
  t.match(await (await visitor.request('/')).text(), 'Nobody is signed in', 'without sid: all sessions of the user')
})

t.test(
  'RFC 9700 §4.7, RFC 9207 §2.4: an answer counts in the browser that asked, and from the server that was asked',
  async (t) => {
    const { server, app } = await setUp(t)
    const visitor = new Visitor(app.origin)
    const left = await signIn(server, visitor)

    const stranger = await new Visitor(app.origin).request(pathOf(left))
    t.equal(stranger.status, 400, 'a browser that began no login')
    const other = new Visitor(app.origin)
    await other.request('/login')
    t.equal((await other.request(pathOf(left))).status, 400, 'a browser that began another one')

    for (const [name, value] of [
      ['iss', 'https://evil.example'],
      ['state', 'guessed'],
    ] as const) {
      const forged = new URL(left)
      forged.searchParams.set(name, value)
      t.equal((await visitor.request(pathOf(forged))).status, 400, name)
    }
    t.equal((await visitor.request(pathOf(left))).status, 303, 'none of that has spent the code')
  },
)

t.test('a person who says no comes back to a page that says so, and nothing that is sent ends the app', async (t) => {
  const { server, app } = await setUp(t)
  const visitor = new Visitor(app.origin)
  const began = await visitor.request('/login')
  const state = new URL(began.headers.get('location') ?? '').searchParams.get('state') ?? ''
  const denied = new URLSearchParams({ error: 'access_denied', state, iss: server.ctx.config.server.issuer })
  const answer = await visitor.request(`/callback?${denied}`)
  t.equal(answer.status, 400)
  t.match(await answer.text(), 'access_denied')

  t.equal((await fetch(`${app.origin}//`)).status, 404)
  t.equal((await visitor.request('/callback?error=%3Cscript%3E')).status, 400)
  t.match(await home(app), 'Nobody is signed in')
})
