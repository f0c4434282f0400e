import t, { type Test } from 'tap'
import { TestBrowser } from '../support/browser.js'
import { createDemoServer, type RunningExample, startExample, Visitor } from '../support/examples.js'

async function setUp(t: Test) {
  const server = await createDemoServer(t)
  const app = await startExample(t, server, 'web-app')
  return { server, app }
}

/** To where the app is called back, and no further. */
async function signIn(server: Awaited<ReturnType<typeof createDemoServer>>, visitor: Visitor): Promise<URL> {
  const began = await visitor.request('/login')
  const browser = new TestBrowser(server)
  const login = await browser.open(began.headers.get('location') ?? '')
  const credentials = { username: server.user.email, password: server.user.password }
  const consent = await browser.submit(login, credentials, { button: 'login-submit' })
  const { left } = await browser.submit(consent, {}, { button: 'consent-allow' })
  if (!left) throw new Error(`the server did not answer the app: ${consent.text}`)
  return left
}

const pathOf = (url: URL): string => url.pathname + url.search

async function home(app: RunningExample, cookie = ''): Promise<string> {
  return (await fetch(app.origin, { headers: { cookie } })).text()
}

t.test('examples/web-app: a person signs in, is greeted, and signs out', async (t) => {
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
  t.match(await page.text(), /Hello, Demo User.*orders:read/s)
  t.equal((await visitor.request(pathOf(left))).status, 400, 'an answer is good once')

  t.same(await server.audit('token.revoked'), [])
  const out = await visitor.request('/logout', { method: 'POST', body: '', headers: { 'content-type': 'text/plain' } })
  t.equal(out.headers.get('location'), '/')
  t.match(await (await visitor.request('/')).text(), 'Nobody is signed in')
  t.match(await server.audit('token.revoked'), [{ clientId: 'web-app' }], 'the token was taken back')
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
