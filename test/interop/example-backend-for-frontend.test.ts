import t, { type Test } from 'tap'
import { retryFor } from '../../src/platform/retry.js'
import { TestBrowser } from '../support/browser.js'
import { createDemoServer, startApi, startExample, Visitor } from '../support/examples.js'

/** What the page sends, and its browser with it. */
const fromOurPage = { 'x-csrf': '1', 'sec-fetch-site': 'same-origin' }

async function setUp(t: Test, { apart = false } = {}) {
  const server = await createDemoServer(t)
  const api = apart ? await startApi(t, server) : undefined
  const backend = await startExample(t, server, 'backend-for-frontend', api?.port)
  await backend.untilItAnswers(`${backend.api}/health`)
  const visitor = new Visitor(backend.origin)
  const began = await visitor.request('/login')
  const browser = new TestBrowser(server)
  const login = await browser.open(began.headers.get('location') ?? '')
  const credentials = { username: server.user.email, password: server.user.password }
  const consent = await browser.submit(login, credentials, { button: 'login-submit' })
  const { left } = await browser.submit(consent, {}, { button: 'consent-allow' })
  const ended = await visitor.request(`${left?.pathname}${left?.search}`)
  t.equal(ended.status, 303)
  const orders = () => visitor.request('/api/orders', { headers: fromOurPage })
  return { server, backend, visitor, orders }
}

t.test('examples/backend-for-frontend: the page calls the API by its cookie, and gets no token', async (t) => {
  const { visitor, backend, orders } = await setUp(t)
  t.match(visitor.setCookies.at(-1), /^__Host-bff=[\w-]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/)

  const listed = await orders()
  t.equal(listed.status, 200)
  t.match(await listed.json(), { orders: [{ item: 'A door' }], for: /^[0-9a-f-]{36}$/ })
  const json = { ...fromOurPage, 'content-type': 'application/json' }
  const placed = await visitor.request('/api/orders', { method: 'POST', headers: json, body: '{"item":"A key"}' })
  t.equal(placed.status, 201)
  t.match(await (await orders()).json(), { orders: [{ item: 'A door' }, { item: 'A key' }] })
  t.equal((await visitor.request('/api/nothing', { headers: fromOurPage })).status, 404)
  t.equal((await visitor.request('/api//evil.example/', { headers: fromOurPage })).status, 404, 'it stays at the API')
  for (const path of ['/%61pi/orders', '/%61pi/.evil.example/', '/ap%69/@evil.example/', '/%61%70%69/orders']) {
    t.equal((await visitor.request(path, { headers: fromOurPage })).status, 404, path)
  }
  t.notMatch(await (await visitor.request('/')).text(), 'eyJ')

  t.test('and what another page asks for is refused, with the cookie or without', async (t) => {
    const others: readonly Readonly<Record<string, string>>[] = [
      {},
      { 'x-csrf': '1' },
      { 'sec-fetch-site': 'same-origin' },
      { 'x-csrf': '1', 'sec-fetch-site': 'same-site' },
      { 'x-csrf': '1', 'sec-fetch-site': 'cross-site' },
      { 'x-csrf': '1', 'sec-fetch-site': 'none' },
    ]
    for (const headers of others) {
      t.equal((await visitor.request('/api/orders', { headers })).status, 403, JSON.stringify(headers))
      t.equal((await visitor.request('/logout', { method: 'POST', headers })).status, 403)
    }
    t.equal((await orders()).status, 200, 'nobody was signed out')
    t.equal((await fetch(`${backend.origin}/api/orders`, { headers: fromOurPage })).status, 401)
  })
})

t.test('examples/backend-for-frontend: tokens are refreshed, once for all requests', async (t) => {
  const { server, backend, orders } = await setUp(t)
  const refreshed = async () => (await server.audit('token.refreshed')).length
  await backend.advance(565)
  t.equal((await orders()).status, 200)
  t.equal(await refreshed(), 0)
  await backend.advance(10)
  const replies = await Promise.all(Array.from({ length: 8 }, orders))
  t.same(
    replies.map(({ status }) => status),
    Array(8).fill(200),
  )
  t.equal(await refreshed(), 1)

  await server.ostiary(['revoke', '--client', 'backend-for-frontend'])
  await backend.advance(600)
  t.equal((await orders()).status, 401, 'what cannot be refreshed has ended')
})

t.test('examples/backend-for-frontend: signing out ends the tokens at the API too', async (t) => {
  const { server, visitor, orders } = await setUp(t, { apart: true })
  const cookie = `__Host-bff=${visitor.cookies.get('__Host-bff')}`
  t.equal((await orders()).status, 200)
  const out = await visitor.request('/logout', { method: 'POST', headers: fromOurPage })
  t.equal(out.status, 204)
  t.equal((await orders()).status, 401)
  t.equal((await visitor.request('/api/orders', { headers: { ...fromOurPage, cookie } })).status, 401)
  t.equal((await server.audit('grant.revoked')).length, 1)
})

t.test('examples/backend-for-frontend: a token that was revoked is refused within the second', async (t) => {
  const { server, orders } = await setUp(t, { apart: true })
  t.equal((await orders()).status, 200)
  await server.ostiary(['revoke', '--user', server.user.email])
  const refused = await retryFor(1_000, async () => ((await orders()).status === 401 ? true : undefined))
  t.ok(refused)
})
