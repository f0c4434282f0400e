import type { InjectOptions } from 'light-my-request'
import t from 'tap'
import { drawApiKey } from '../../src/api-keys/format.js'
import { createApiKey, findApiKey, findApiKeys, rotateApiKey } from '../../src/api-keys/index.js'
import { listNotices, noticeText } from '../../src/notices/index.js'
import { createTestGateway } from '../support/gateways.js'
import { SeededRandom } from '../support/random.js'
import { createTestServer, send, sql, type TestServer } from '../support/server.js'
import { statementsOf } from '../support/tokens.js'

const by = { actor: 'operator' }
const resource = 'https://orders.example'
const server = await createTestServer(t, { demo: true, env: { API_KEYS_PER_OWNER: '1000' } })
const { ctx } = server
await server.createResource(resource, 'read')
const service = await server.createService('read')
const owner = { kind: 'client', id: service.clientId } as const
const random = new SeededRandom('made up')

async function makeKey() {
  const { key, text = '' } = await createApiKey(ctx, { owner, name: 'Test', scope: ['read'] }, by)
  return { id: key.id, text, made: drawApiKey(random, { prefix: 'sk', environment: 'live', id: key.id }) }
}

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS'

const ask = (method: Method, url: string, headers: Readonly<Record<string, string>> = {}, at: TestServer = server) => {
  const isForm = method === 'POST' || method === 'PUT'
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const request: InjectOptions = { method, url, headers: { ...(isForm ? form : {}), ...headers } }
  return send(at.app, isForm ? { ...request, payload: 'grant_type=client_credentials' } : request)
}

/** Whatever there is, and what there is not. */
const paths = [
  '/healthz /readyz /jwks /.well-known/openid-configuration /.well-known/oauth-authorization-server /openapi.json',
  '/status-lists /status-lists/x /clients/x/logo /token /revoke /introspect /register /register/x /forward-auth/front',
  '/revocations /revocations/snapshot /rate-limits /userinfo /usage /api-keys /api-keys/x /leaks /authorize /login/x',
  '/consent/x /logout /account /account/api-keys /account/sessions / /demo /demo/callback /nothing /nothing/here /%zz',
].flatMap((some) => some.split(' '))

const isMarked = async (id: string) => (await findApiKey(ctx, id)).exposedAt !== undefined

t.test('attack 113: at every address, by every method, a key is refused with 400 and reported', async (t) => {
  for (const path of paths) {
    for (const method of ['GET', 'POST', 'PUT', 'OPTIONS'] as const) {
      const { id, text, made } = await makeKey()
      const first = await ask(method, `${path}?x=${made}`)
      t.notOk(await isMarked(id), `${method} ${path}: who knows an id alone marks nothing`)
      const reply = await ask(method, `${path}?x=${text}`)
      t.equal(reply.statusCode, 400, `${method} ${path}`)
      t.ok(await isMarked(id), `${method} ${path} is reported`)
      const { date: _, 'x-request-id': __, 'content-security-policy': ___, ...headers } = reply.headers
      t.match(first, { statusCode: 400, headers: { ...headers, 'content-length': /\d+/ } }, 'as one that was made up')
      t.notOk(reply.body.includes(text.slice(-40)))
      t.match(headers, { 'cache-control': 'no-store', location: undefined })
    }
  }
  t.notOk(
    server.logs.some((line) => findApiKeys(line).length > 0),
    'and stands in no log',
  )
  t.notOk(JSON.stringify(await sql(server, 'SELECT * FROM audit_event')).match(/sk_live_\w{65}/), 'nor in the audit')
})

t.test('the owner of a key in its overlap is told to move or to end it: it gets no other successor', async (t) => {
  const [live, rotated] = [await makeKey(), await makeKey()]
  await rotateApiKey(ctx, rotated.id, { by })
  for (const { text } of [live, rotated]) t.equal((await ask('GET', `/healthz?key=${text}`)).statusCode, 400)
  const bodyFor = async (id: string) => {
    const notice = (await listNotices(ctx, owner)).find(({ subject }) => subject.id === id)
    return notice ? noticeText(notice, ctx.config.server.issuer).body : ''
  }
  t.match(await bodyFor(live.id), `ostiary api-key rotate ${live.id}`)
  const body = await bodyFor(rotated.id)
  t.match(body, /has a successor already: move your programs to that one, or end this one now/)
  t.match(body, `ostiary api-key revoke ${rotated.id}`)
  t.notMatch(body, 'api-key rotate')
})

t.test('it is refused in the form of what is asked for, whoever asks', async (t) => {
  const { text } = await makeKey()
  const at = async (url: string, headers = {}) => ask('GET', url, headers)
  const json = { error: 'invalid_request' }
  for (const path of ['/token', '/revoke', '/introspect', '/register', '/jwks', '/healthz', '/nothing']) {
    t.match((await at(`${path}?k=${text}`)).json(), json, path)
    t.match((await at(`${path}?k=${text}`, { authorization: service.basic })).json(), json, path)
  }
  t.match((await at(`/userinfo?k=${text}`)).headers, { 'www-authenticate': /Bearer .*error="invalid_request"/ })
  t.match((await at(`/api-keys/${text}`)).headers, { 'content-type': 'application/problem+json' })
  for (const path of ['/authorize', '/account', '/logout', '/']) {
    t.match((await at(`${path}?k=${text}`)).headers, { 'content-type': 'text/html; charset=utf-8' }, path)
  }
  t.match((await at(`/nothing?k=${text}`, { accept: 'text/html' })).headers, { 'content-type': /^text\/html/ })
  t.equal((await ask('HEAD', `/jwks?k=${text}`)).statusCode, 400)
})

t.test('in path and query, alone or within others, and encoded by mistake', async (t) => {
  for (const [name, put] of Object.entries<(key: string) => string>({
    path: (key) => `/token/${key}`,
    'last of a path': (key) => `/register/${key}`,
    'a name': (key) => `/token?${key}`,
    'one of several': (key) => `/jwks?a=1&b=${key}&c=2`,
    'an address': (key) => `/authorize?redirect_uri=${encodeURIComponent(`https://app.example/cb?k=${key}`)}`,
    'an address in an address': (key) => `/logout?u=${encodeURIComponent(encodeURIComponent(`https://x/?k=${key}`))}`,
    'a header in a query': (key) => `/userinfo?Authorization=Bearer%20${key}`,
    'underscores encoded': (key) => `/healthz?k=${key.replaceAll('_', '%5f')}`,
  })) {
    const { id, text } = await makeKey()
    t.equal((await ask('GET', put(text))).statusCode, 400, name)
    t.ok(await isMarked(id), name)
  }
})

t.test('a page of a registered origin may read the refusal; its preflight is refused as well', async (t) => {
  const origin = 'https://app.example'
  await server.createClient({ allowed_origins: [origin] })
  await ctx.refresh()
  const { id, text } = await makeKey()
  const preflight = { origin, 'access-control-request-method': 'POST' }
  t.equal((await ask('OPTIONS', `/token?k=${text}`, preflight)).statusCode, 400)
  t.ok(await isMarked(id))
  t.equal((await ask('OPTIONS', '/token', preflight)).statusCode, 204)
  for (const method of ['POST', 'GET'] as const) {
    const reply = await ask(method, `/token?k=${text}`, { origin })
    t.match(reply, { statusCode: 400, headers: { 'access-control-allow-origin': origin } }, method)
  }
})

t.test('a gateway’s own address: refused and reported, also where it did not prove itself', async (t) => {
  const gateway = await createTestGateway(server, 'front', { resource, scope: ['read'] })
  for (const path of ['?k=', '/orders?k=', '/orders/']) {
    const unproved = await makeKey()
    const stranger = { 'x-gateway-authorization': undefined, 'x-original-uri': `/?k=${(await makeKey()).text}` }
    t.equal((await gateway.ask(stranger, { path: `${path}${unproved.text}` })).statusCode, 400, path)
    t.ok(await isMarked(unproved.id), path)
    const proved = await makeKey()
    // A proxy passes 401 on, and takes 400 for a failure of ours.
    t.equal((await gateway.ask({}, { path: `${path}${proved.text}` })).statusCode, 401, path)
    t.ok(await isMarked(proved.id), path)
  }
  const { id, text } = await makeKey()
  await gateway.ask({ 'x-gateway-authorization': undefined, 'x-original-uri': `/?k=${text}` })
  t.notOk(await isMarked(id), 'what a stranger says of another address is not believed')
})

t.test('what has not the form or the checksum asks nobody, and is answered as ever', async (t) => {
  const { text } = await makeKey()
  const wrong = `${text.slice(0, -1)}${text.endsWith('0') ? '1' : '0'}`
  const statements = await statementsOf(server, async () => {
    for (const value of [wrong, text.slice(0, -1), `${text}x`, text.replace('_', '-'), 'a_b_'.repeat(40)]) {
      t.equal((await ask('GET', `/jwks?x=${value}`)).statusCode, 200, value.slice(0, 12))
    }
  })
  t.same(statements, [])
})

t.test('made-up keys are looked up one at a time, and few of them wait', async (t) => {
  const { id } = await makeKey()
  const urls = Array.from({ length: 50 }, (_, index) => {
    const made = drawApiKey(random, { prefix: 'sk', environment: 'live', id })
    return `${paths[index % 10]}?k=${made}`
  })
  const statements = await statementsOf(server, async () => {
    const replies = await Promise.all(urls.map((url) => ask('GET', url)))
    t.same(new Set(replies.map(({ statusCode }) => statusCode)), new Set([400]))
  })
  // The endpoints of gateways have a watch of their own, and are none of these.
  t.equal(statements.filter((name) => name === 'api_keys.find').length, 8, 'over all endpoints together')
  t.same(
    (await server.audit('api_key.exposed')).filter(({ detail }) => detail?.['key'] === id),
    [],
  )
})

t.test('under the path of an issuer as well', async (t) => {
  const other = await createTestServer(t, { env: { ISSUER: 'https://example.com/auth' }, beside: server })
  for (const path of ['/auth/token', '/auth/account', '/.well-known/oauth-authorization-server/auth', '/nothing']) {
    const { id, text } = await makeKey()
    t.equal((await ask('GET', `${path}?k=${text}`, {}, other)).statusCode, 400, path)
    t.ok(await isMarked(id), path)
  }
})
