import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { createApiKey } from '../../src/api-keys/index.js'
import { revoke } from '../../src/revocation/index.js'
import { openKeyScene } from '../support/api-keys.js'
import { createTestServer, send, sql } from '../support/server.js'
import { introspect, revokeAt } from '../support/tokens.js'

const scene = await openKeyScene(t)
const { server, ada, bob, root, service, portal, api, call, make, tokenOf, serviceToken } = scene
const { ctx, clock } = server
const beside = await createTestServer(t, { beside: server })
await beside.refresh()
const unknown = '0kq3GZb7yXw9TfLm'

/** Every operation of the document, with a body that would be right. */
interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: unknown
}

const bodies: Readonly<Record<string, unknown>> = {
  createApiKey: { name: 'Test', scope: 'read' },
  changeApiKey: { name: 'Taken over' },
  rotateApiKey: { overlap: 0 },
  revokeApiKeys: { all: true },
  reportLeaks: [],
}
const { paths } = (await server.get('/openapi.json')).json<{
  paths: Readonly<Record<string, Readonly<Record<string, { operationId: string }>>>>
}>()
const routes: readonly Route[] = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, { operationId }]) => ({
    method: method.toUpperCase() as Route['method'],
    path,
    body: bodies[operationId],
  })),
)

function isChallenged(t: Test, reply: LightMyRequestResponse, status: number, error?: string): void {
  t.equal(reply.statusCode, status, reply.body)
  t.match(reply.headers['content-type'], /^application\/problem\+json/)
  t.match(reply.headers['www-authenticate'], error === undefined ? /^Bearer realm="[^"]+"$/ : `error="${error}"`)
}

/** Nothing of the key has changed. */
async function isUntouched(t: Test, { id, key }: { readonly id: string; readonly key: string }): Promise<void> {
  const [row] = await sql(server, 'SELECT name, ended_at, successor FROM api_key WHERE id = $1', [id])
  t.match(row, { name: 'Test', ended_at: null, successor: null })
  t.match(await introspect(server, api, key), { active: true })
}

t.test('attack 130: every route, by whoever may not', async (t) => {
  t.equal(routes.length, 9)
  const mine = await make(ada.token)
  const endedToken = await tokenOf(ada.id)
  await revokeAt(server, portal, endedToken)
  const withoutScope = await tokenOf(ada.id, portal, ['openid'])
  const forTheApi = await serviceToken(service, 'read api_keys')
  for (const { method, path, body } of routes) {
    const url = path.replace('{id}', mine.id)
    const title = `${method} ${path}`
    isChallenged(t, await call(method, url, { body }), 401)
    isChallenged(t, await call(method, url, { body, headers: { authorization: service.basic } }), 401)
    isChallenged(t, await call(method, url, { body, token: withoutScope }), 403, 'insufficient_scope')
    isChallenged(t, await call(method, url, { body, token: endedToken }, beside), 401, 'invalid_token')
    isChallenged(t, await call(method, url, { body, token: forTheApi }), 401, 'invalid_token')
    // A key is no token: it manages none.
    isChallenged(t, await call(method, url, { body, token: mine.key }), 401, 'invalid_token')
    isChallenged(t, await call(method, `${url}?access_token=${ada.token}`, { body }), 400, 'invalid_request')
    const plain = await send(server.app, { method, url, headers: { cookie: 'ostiary_session=x' } })
    t.equal(plain.statusCode, 401, `${title}: a cookie opens nothing`)
  }
  await isUntouched(t, mine)
})

t.test('attack 130: somebody else’s key is one that there is not, by whatever route', async (t) => {
  const ofAda = await make(ada.token)
  const ofService = await make(service.token)
  const stranger = await server.createService('read api_keys')
  const tokens = {
    'another user': bob.token,
    'another client': await serviceToken(stranger),
    'a client': service.token,
  }
  for (const { method, path, body } of routes.filter((route) => route.path.includes('{id}'))) {
    for (const [who, token] of Object.entries(tokens)) {
      const foreign = await call(method, path.replace('{id}', ofAda.id), { token, body })
      const none = await call(method, path.replace('{id}', unknown), { token, body })
      t.equal(foreign.statusCode, 404, `${method} ${path} by ${who}`)
      const told = (reply: LightMyRequestResponse, id: string) => ({
        ...reply.json(),
        instance: '',
        detail: reply.json().detail.replace(id, ''),
      })
      t.same(told(foreign, ofAda.id), told(none, unknown), 'no oracle')
      t.same(Object.keys(foreign.headers).sort(), Object.keys(none.headers).sort())
    }
    const crossed = await call(method, path.replace('{id}', ofService.id), { token: bob.token, body })
    t.equal(crossed.statusCode, 404, 'nor a client’s key for a user')
    for (const id of ['x', '%00', '0kq3GZb7yXw9TfLm%00', "'; DROP TABLE api_key; --", 'x'.repeat(150)]) {
      const reply = await call(method, path.replace('{id}', encodeURIComponent(id).replace(/%25/g, '%')), {
        token: bob.token,
        body,
      })
      t.ok([404, 405].includes(reply.statusCode), `${id}: ${reply.statusCode}`)
    }
  }
  await isUntouched(t, ofAda)
  await isUntouched(t, ofService)
  for (const token of Object.values(tokens)) {
    const listed = (await call('GET', '/api-keys?limit=100', { token })).json().api_keys
    t.notOk(listed.some(({ id }: { id: string }) => id === ofAda.id))
  }
})

t.test('attack 130: what is for administrators', async (t) => {
  const mine = await make(ada.token)
  for (const token of [bob.token, ada.token, service.token]) {
    for (const body of [{ all: true }, { prefix: 'sk' }, { owner: { kind: 'user', id: ada.id } }]) {
      const reply = await call('POST', '/api-keys/revoke', { token, body })
      t.equal(reply.statusCode, 403)
      t.notOk('www-authenticate' in reply.headers, 'no token of theirs would do')
    }
    const foreign = await call('GET', `/api-keys?owner=user:${root.id}`, { token })
    t.equal(foreign.statusCode, 403)
  }
  await isUntouched(t, mine)
  // A page is found by its cursor, and a cursor shows nobody else's.
  const page = await call('GET', '/api-keys?limit=1', { token: root.token })
  const cursor = page.json().next_cursor
  const listed = (await call('GET', `/api-keys?limit=100&cursor=${cursor}`, { token: bob.token })).json().api_keys
  t.ok(listed.every(({ owner }: { owner: { id: string } }) => owner.id === bob.id))
})

t.test('attack 130: who is an administrator no more is none at the next request', async (t) => {
  const { id } = await server.createUser('former@example.com')
  const token = await tokenOf(id)
  await sql(server, 'UPDATE user_account SET admin = true WHERE id = $1', [id])
  t.equal((await call('GET', `/api-keys?owner=user:${ada.id}`, { token })).statusCode, 200)
  await sql(server, 'UPDATE user_account SET admin = false WHERE id = $1', [id])
  t.equal((await call('GET', `/api-keys?owner=user:${ada.id}`, { token })).statusCode, 403)
})

t.test('attack 114: a key for somebody else, by its body', async (t) => {
  const before = await sql(server, 'SELECT count(*) FROM api_key')
  for (const token of [bob.token, service.token]) {
    for (const owner of [
      { kind: 'user', id: ada.id },
      { kind: 'user', id: bob.id },
      { kind: 'user', id: ada.id.toUpperCase() },
      { kind: 'client', id: portal.clientId },
    ]) {
      const reply = await call('POST', '/api-keys', { token, body: { name: 'x', scope: 'read', owner } })
      t.equal(reply.statusCode, 403, reply.body)
      t.match(reply.json(), { errors: [{ pointer: '/owner' }] })
    }
    for (const member of ['userId', 'user_id', 'owner_id', 'sub', 'client_id', 'owner_kind']) {
      const reply = await call('POST', '/api-keys', { token, body: { name: 'x', scope: 'read', [member]: ada.id } })
      t.equal(reply.statusCode, 400)
      t.match(reply.json(), { errors: [{ pointer: `/${member}` }] })
    }
    const tier = await call('POST', '/api-keys', { token, body: { name: 'x', scope: 'read', tier: 'unlimited' } })
    t.equal(tier.statusCode, 403, 'nor may anybody say how much their key may be used')
  }
  t.same(await sql(server, 'SELECT count(*) FROM api_key'), before)
})

t.test('attack 94: members that are the server’s to say are refused, not ignored', async (t) => {
  const mine = await make(ada.token)
  const secret = 'sk_live_0kq3GZb7yXw9TfLm'
  for (const [member, value] of Object.entries({
    id: unknown,
    key: secret,
    hash: secret,
    state: 'live',
    created_at: '2020-01-01T00:00:00Z',
    ended_at: null,
    successor: unknown,
    last_used_at: null,
    admin: true,
    constructor: { prototype: { admin: true } },
    prototype: {},
    toString: 'x',
  })) {
    const made = await call('POST', '/api-keys', {
      token: ada.token,
      body: { name: 'x', scope: 'read', [member]: value },
    })
    t.equal(made.statusCode, 400, member)
    t.match(made.json(), { errors: [{ pointer: `/${member}` }] })
    const changed = await call('PATCH', `/api-keys/${mine.id}`, {
      token: ada.token,
      body: { name: 'x', [member]: value },
    })
    t.equal(changed.statusCode, 400, member)
  }
  for (const member of ['owner', 'kind', 'prefix', 'environment', 'resources', 'tier', 'jwk', 'expires_in']) {
    const reply = await call('PATCH', `/api-keys/${mine.id}`, { token: root.token, body: { [member]: 'x' } })
    t.equal(reply.statusCode, 400, `${member} is said once`)
  }
  for (const payload of [
    '{"name":"x","scope":"read","__proto__":{"admin":true}}',
    '{"__proto__":{"name":"x","scope":"read"}}',
  ]) {
    const headers = { authorization: `Bearer ${ada.token}`, 'content-type': 'application/json' }
    const reply = await send(server.app, { method: 'POST', url: '/api-keys', headers, payload })
    t.equal(reply.statusCode, 400, payload)
  }
  t.notOk('admin' in {})
  await isUntouched(t, mine)
})

t.test('attack 115: what a key may do is never widened beyond its owner and its token', async (t) => {
  const ofService = await make(service.token)
  const path = `/api-keys/${ofService.id}`
  for (const scope of ['read other', 'openid', 'api_keys', 'read api_keys', 'revocations', '*']) {
    const reply = await call('PATCH', path, { token: service.token, body: { scope } })
    t.equal(reply.statusCode, 400, scope)
  }
  t.match(await introspect(server, api, ofService.key), { active: true, scope: 'read' })

  const mine = await make(ada.token)
  const narrow = await tokenOf(ada.id, scene.stranger)
  for (const reply of [
    await call('PATCH', `/api-keys/${mine.id}`, { token: narrow, body: { scope: 'read write' } }),
    await call('POST', '/api-keys', { token: narrow, body: { name: 'x', scope: 'write' } }),
  ]) {
    t.equal(reply.statusCode, 403)
  }
  for (const scope of ['api_keys', 'openid']) {
    const reply = await call('POST', '/api-keys', { token: ada.token, body: { name: 'x', scope } })
    t.equal(reply.statusCode, 400, `a key with ${scope} could make keys`)
  }
})

t.test('attack 115: expired, revoked, past its overlap, and never brought back', async (t) => {
  const { token } = ada
  const [expiring, rotated, ended] = [await make(token, { expires_in: 60 }), await make(token), await make(token)]
  const rotation = await call('POST', `/api-keys/${rotated.id}/rotate`, { token, body: { overlap: 30 } })
  await call('DELETE', `/api-keys/${ended.id}`, { token })
  clock.advance(60)
  const later = new Date(clock.now().getTime() + 86_400_000).toISOString()
  for (const { id, key } of [expiring, rotated, ended]) {
    const revived = await call('PATCH', `/api-keys/${id}`, { token, body: { expires_at: later } })
    t.equal(revived.statusCode, 409)
    t.equal((await call('POST', `/api-keys/${id}/rotate`, { token, body: {} })).statusCode, 409)
    t.same(await introspect(beside, api, key), { active: false })
  }
  t.match(await introspect(beside, api, rotation.json().key), { active: true })
})

t.test('attack 115: the token ends with its user, its session and its client', async (t) => {
  const cause = { actor: 'operator', reason: 'test' }
  const { id } = await server.createUser('eve@example.com')
  await createApiKey(ctx, { owner: { kind: 'user', id }, name: 'x', scope: ['read'] }, cause)
  const token = await tokenOf(id)
  t.equal((await call('GET', '/api-keys', { token }, beside)).statusCode, 200)
  await revoke(ctx, { kind: 'user', userId: id }, cause)
  // Not told: exact all the same.
  isChallenged(t, await call('GET', '/api-keys', { token }, beside), 401, 'invalid_token')
  const client = await server.createService('api_keys')
  const own = await serviceToken(client)
  await revoke(ctx, { kind: 'client', clientId: client.clientId }, cause)
  isChallenged(t, await call('GET', '/api-keys', { token: own }, beside), 401, 'invalid_token')
})

t.test('attack 119: JSON alone is read', async (t) => {
  const right = '{"name":"x","scope":"read"}'
  const authorization = `Bearer ${ada.token}`
  const post = (headers: Readonly<Record<string, string>>, payload: string | Buffer = right) =>
    send(server.app, { method: 'POST', url: '/api-keys', headers: { authorization, ...headers }, payload })
  for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"']) {
    t.equal((await post({ 'content-type': type })).statusCode, 201, type)
  }
  for (const type of [
    'application/x-www-form-urlencoded',
    'text/plain',
    'text/json',
    'application/json; charset=utf-16',
    'application/json, text/plain',
    'application/problem+json',
    'multipart/form-data; boundary=x',
    '',
  ]) {
    const reply = await post({ 'content-type': type })
    t.equal(reply.statusCode, 415, type)
    t.match(reply.json(), { type: 'urn:ostiary:problem:http-415', detail: /application\/json/ })
  }
  t.equal((await post({})).statusCode, 415, 'a body without a type')
  t.equal((await post({ 'content-type': 'application/json', 'content-encoding': 'gzip' })).statusCode, 415)
  for (const payload of [
    '',
    '{',
    'null',
    '[]',
    '"x"',
    '7',
    `${right}${right}`,
    '\ufeff{}',
    Buffer.from([0x22, 0xff, 0x22]),
  ]) {
    const reply = await post({ 'content-type': 'application/json' }, payload)
    t.equal(reply.statusCode, 400, String(payload))
    t.match(reply.headers['content-type'], /^application\/problem\+json/)
  }
})

t.test('attack 120: large and deep bodies', async (t) => {
  const post = (payload: string, token = ada.token) =>
    send(server.app, {
      method: 'POST',
      url: '/api-keys',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      payload,
    })
  t.equal((await post(JSON.stringify({ name: 'x'.repeat(1024 * 1024), scope: 'read' }))).statusCode, 413)
  t.equal(
    (await post(JSON.stringify({ name: 'x'.repeat(1024 * 1024) }), 'x')).statusCode,
    401,
    'a stranger’s is not read',
  )
  for (const payload of [
    '['.repeat(60_000),
    `${'['.repeat(30_000)}${']'.repeat(30_000)}`,
    `{"name":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)},"scope":"read"}`,
    JSON.stringify({ name: 'x', scope: 'read', networks: Array.from({ length: 5000 }, () => '10.0.0.0/8') }),
    JSON.stringify(Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`m${index}`, 1]))),
  ]) {
    const reply = await post(payload)
    t.equal(reply.statusCode, 400, payload.slice(0, 20))
    t.ok(reply.body.length < 8_000, 'the answer is bounded')
  }
})

t.test('attack 121: no page of another origin may call /api-keys, registered or not', async (t) => {
  await server.createService('api_keys', { allowed_origins: ['https://spa.example'] })
  for (const origin of ['https://spa.example', 'https://evil.example', 'null']) {
    const preflight = await send(server.app, {
      method: 'OPTIONS',
      url: '/api-keys',
      headers: { origin, 'access-control-request-method': 'POST' },
    })
    t.equal(preflight.statusCode, 405)
    const reply = await call('GET', '/api-keys', { token: ada.token, headers: { origin } })
    for (const { headers } of [preflight, reply]) {
      t.same(
        Object.keys(headers).filter((name) => name.startsWith('access-control-')),
        [],
      )
    }
  }
})

t.test('attack 131: a key stands in its answer, and in no line of the log and no event', async (t) => {
  const { id, key } = await make(ada.token)
  const rotated = (await call('POST', `/api-keys/${id}/rotate`, { token: ada.token, body: {} })).json()
  const kept = `${server.logs.join('\n')}${JSON.stringify(await server.audit())}`
  for (const text of [key, rotated.key, key.slice(-49, -6), ada.token]) t.notOk(kept.includes(text))
})
