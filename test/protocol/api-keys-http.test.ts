import { type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { createApiKey } from '../../src/api-keys/index.js'
import { updateClient } from '../../src/clients/index.js'
import { problemSchema } from '../../src/http/index.js'
import { disableUser } from '../../src/identity/index.js'
import { createTier } from '../../src/limits/index.js'
import { apiKeyOperations } from '../../src/protocol/api-keys/operations.js'
import { createRole, grantRole } from '../../src/resources/index.js'
import { keyApi, openKeyScene } from '../support/api-keys.js'
import { authorizationUrl, logIn, redirectUri } from '../support/authorization.js'
import { TestBrowser } from '../support/browser.js'
import { verifier } from '../support/grants.js'
import { copyKeys } from '../support/key-copies.js'
import { newPublicJwk } from '../support/key-pairs.js'
import { createTestServer, registration, testIssuer } from '../support/server.js'
import { claimsOf } from '../support/tokens.js'

const scene = await openKeyScene(t)
const { server, ada, bob, root, service, stranger, call, make, tokenOf, serviceToken } = scene
const { ctx, clock } = server
const beside = await createTestServer(t, { beside: server })
await beside.refresh()
const day = 86_400
const operations = apiKeyOperations(ctx)

/** The answer is what the document says of it. */
function conforms(t: Test, reply: LightMyRequestResponse, id: string): void {
  const { success } = operations.find((operation) => operation.id === id)!
  t.equal(reply.statusCode, success.status, reply.body)
  const schema: TSchema = success.schema ?? Type.Undefined()
  const body: unknown = reply.body === '' ? undefined : reply.json()
  t.same([...Value.Errors(schema, body)], [], `${id} answers as documented`)
  t.equal(reply.headers['cache-control'], 'no-store')
}

function isProblem(t: Test, reply: LightMyRequestResponse, status: number, kind: string): Record<string, unknown> {
  t.equal(reply.statusCode, status, reply.body)
  t.match(reply.headers['content-type'], /^application\/problem\+json/)
  t.equal(reply.headers['cache-control'], 'no-store')
  const body = reply.json()
  t.same([...Value.Errors(problemSchema, body)], [])
  t.match(body, { status, type: `urn:ostiary:problem:${kind}` })
  return body
}

async function introspect(token: string, at = server) {
  const reply = await at.post('/introspect', { token }, { authorization: scene.api.basic })
  return reply.json()
}

t.test('RFC 9068 §2.2: the scope api_keys is for this server itself, of users and of clients', async (t) => {
  t.match(claimsOf(ada.token), { aud: testIssuer, scope: 'api_keys', sub: ada.id })
  t.match(claimsOf(service.token), { aud: testIssuer, scope: 'api_keys', sub: service.clientId })
  const form = { grant_type: 'client_credentials' }
  const plain = await server.post('/token', form, { authorization: service.basic })
  t.equal(plain.json().scope, 'read write', 'without being asked for it is not given')
  const unregistered = await server.createService('read')
  const refused = await server.post('/token', { ...form, scope: 'api_keys' }, { authorization: unregistered.basic })
  t.match(refused.json(), { error: 'invalid_scope' })
})

t.test('a user is asked in plain words, and the application manages keys from then on', async (t) => {
  const person = await server.createUser('eve@example.com')
  const browser = new TestBrowser(server)
  const login = await browser.open(authorizationUrl(stranger, { scope: 'api_keys' }))
  const consent = await logIn(browser, login, person)
  t.match(consent.text, 'See, make, change and end API keys that act for you')
  const { answer } = await browser.submit(consent, {}, { button: 'consent-allow' })
  const form = { grant_type: 'authorization_code', redirect_uri: redirectUri, code_verifier: verifier }
  const reply = await server.post('/token', { ...form, code: answer['code']! }, { authorization: stranger.basic })
  t.match(reply.json(), { scope: 'api_keys' })
  const listed = await call('GET', '/api-keys', { token: reply.json().access_token })
  conforms(t, listed, 'listApiKeys')
  t.same(listed.json(), { api_keys: [] })
})

t.test('a user makes a key, sees it, changes it, rotates it and ends it', async (t) => {
  const now = clock.now()
  const made = await call('POST', '/api-keys', {
    token: ada.token,
    body: { name: 'Nightly report', description: 'Runs at 2', scope: 'read write', networks: ['192.0.2.0/24'] },
  })
  conforms(t, made, 'createApiKey')
  const { key: text, ...described } = made.json()
  t.equal(made.headers.location, `${testIssuer}/api-keys/${described.id}`)
  t.match(described, {
    kind: 'secret',
    owner: { kind: 'user', id: ada.id },
    scope: 'read write',
    resources: [keyApi],
    networks: ['192.0.2.0/24'],
    state: 'live',
    created_at: now.toISOString(),
    expires_at: new Date(now.getTime() + 90 * day * 1000).toISOString(),
  })
  t.match(await introspect(text), { active: true, sub: ada.id, scope: 'read write' })

  const path = `/api-keys/${described.id}`
  const shown = await call('GET', path, { token: ada.token })
  conforms(t, shown, 'getApiKey')
  t.same(shown.json(), described, 'without the key itself')

  const expires_at = new Date(now.getTime() + day * 1000).toISOString()
  const changed = await call('PATCH', path, {
    token: ada.token,
    body: { name: 'Report', description: null, scope: 'read', networks: [], expires_at },
  })
  conforms(t, changed, 'changeApiKey')
  const { description: _, ...rest } = described
  t.same(changed.json(), {
    ...rest,
    name: 'Report',
    scope: 'read',
    networks: [],
    expires_at,
    rotation_due_at: expires_at,
  })
  t.match(await introspect(text), { active: true, scope: 'read', exp: Math.floor(Date.parse(expires_at) / 1000) })

  const rotated = await call('POST', `${path}/rotate`, { token: ada.token, body: { overlap: 60 } })
  conforms(t, rotated, 'rotateApiKey')
  const successor = rotated.json()
  t.equal(rotated.headers.location, `${testIssuer}/api-keys/${successor.id}`)
  t.match(successor.previous, { id: described.id, state: 'rotated', successor: successor.id })
  t.match(await introspect(text), { active: true })
  t.match(await introspect(successor.key), { active: true, scope: 'read' })

  const ended = await call('DELETE', `/api-keys/${successor.id}`, { token: ada.token })
  conforms(t, ended, 'revokeApiKey')
  t.same(await introspect(successor.key), { active: false })
  t.equal((await call('DELETE', `/api-keys/${successor.id}`, { token: ada.token })).statusCode, 204, 'again')
  t.match((await call('GET', `/api-keys/${successor.id}`, { token: ada.token })).json(), {
    state: 'ended',
    end_reason: 'revoked_by_http',
  })
  clock.advance(60)
  t.same(await introspect(text), { active: false }, 'its overlap is over')
})

t.test('a client manages its own keys, and no more than it is registered for', async (t) => {
  const made = await make(service.token, { scope: 'write' })
  t.match(made, { owner: { kind: 'client', id: service.clientId } })
  const beyond = await call('POST', '/api-keys', { token: service.token, body: { name: 'x', scope: 'other' } })
  t.match(isProblem(t, beyond, 400, 'invalid-value'), { errors: [{ pointer: '/scope' }] })
  const widened = await call('PATCH', `/api-keys/${made.id}`, { token: service.token, body: { scope: 'write other' } })
  t.match(isProblem(t, widened, 400, 'invalid-value'), { errors: [{ pointer: '/scope' }] })
  conforms(
    t,
    await call('PATCH', `/api-keys/${made.id}`, { token: service.token, body: { scope: 'read write' } }),
    'changeApiKey',
  )
  const confined = await server.createService('read other api_keys', { allowed_resources: [keyApi] })
  const reply = await call('POST', '/api-keys', {
    token: await serviceToken(confined),
    body: { name: 'x', scope: 'read other' },
  })
  t.match(isProblem(t, reply, 400, 'invalid-value'), { errors: [{ pointer: '/resources' }] })
})

t.test('a list is of one’s own keys, in pages, by prefix and state', async (t) => {
  const { id: userId } = await server.createUser('carol@example.com')
  const token = await tokenOf(userId)
  const names = ['one', 'two', 'three', 'four', 'five']
  const made = []
  for (const name of names) {
    const byRoot = { name, prefix: 'abc', owner: { kind: 'user', id: userId } }
    made.push(await (name === 'three' ? make(root.token, byRoot) : make(token, { name })))
  }

  const seen: string[] = []
  let cursor = ''
  for (let pages = 1; ; pages++) {
    const reply = await call('GET', `/api-keys?limit=2${cursor && `&cursor=${cursor}`}`, { token })
    conforms(t, reply, 'listApiKeys')
    seen.push(...reply.json().api_keys.map(({ id }: { id: string }) => id))
    cursor = reply.json().next_cursor ?? ''
    if (cursor !== '') continue
    t.equal(pages, 3)
    break
  }
  t.same(seen.toSorted(), made.map(({ id }) => id).toSorted(), 'each of them, once, and of one instant')

  const idsOf = async (query: string) => {
    const reply = await call('GET', `/api-keys?${query}`, { token })
    t.equal(reply.statusCode, 200, reply.body)
    return reply.json().api_keys.map(({ name }: { name: string }) => name)
  }
  t.same(await idsOf('prefix=abc'), ['three'])
  await call('DELETE', `/api-keys/${made[0]!.id}`, { token })
  await call('PATCH', `/api-keys/${made[1]!.id}`, {
    token,
    body: { expires_at: new Date(clock.now().getTime() + 1000).toISOString() },
  })
  await call('POST', `/api-keys/${made[2]!.id}/rotate`, { token, body: {} })
  clock.advance(2)
  t.same(await idsOf('state=ended'), ['one'])
  t.same(await idsOf('state=expired'), ['two'])
  t.same(await idsOf('state=rotated'), ['three'])
  t.same((await idsOf('state=live')).toSorted(), ['five', 'four', 'three'], 'with the successor')

  for (const query of [
    'limit=0',
    'limit=101',
    'limit=x',
    'state=gone',
    'cursor=x',
    'cursor=MSAx',
    'unknown=1',
    'limit=1&limit=2',
  ]) {
    t.equal((await call('GET', `/api-keys?${query}`, { token })).statusCode, 400, query)
  }
  const all = (await call('GET', '/api-keys?limit=100', { token: root.token })).json().api_keys
  t.ok(
    all.some(({ owner }: { owner: { kind: string } }) => owner.kind === 'client'),
    'administrators see all',
  )
  const carols = await call('GET', `/api-keys?owner=user:${userId}`, { token: root.token })
  t.equal(carols.json().api_keys.length, 6)
})

t.test('an administrator makes, changes and ends keys of others, and many at once', async (t) => {
  await createTier(ctx, 'gold', { limit: 10, window: 10 }, { actor: 'operator' })
  const forBob = await make(root.token, { owner: { kind: 'user', id: 'bob@example.com' }, tier: 'gold' })
  t.match(forBob, { owner: { kind: 'user', id: bob.id }, tier: 'gold' })
  const forService = await make(root.token, { owner: { kind: 'client', id: service.clientId }, prefix: 'urgent' })
  conforms(t, await call('PATCH', `/api-keys/${forBob.id}`, { token: root.token, body: { name: 'x' } }), 'changeApiKey')
  const unknown = await call('POST', '/api-keys', {
    token: root.token,
    body: { name: 'x', scope: 'read', owner: { kind: 'client', id: 'nobody' } },
  })
  t.match(isProblem(t, unknown, 400, 'invalid-value'), { errors: [{ pointer: '/owner' }] })
  for (const tier of ['nosuch', 'gold ', 'x'.repeat(100), "gold'; --"]) {
    const unlimited = await call('POST', '/api-keys', { token: root.token, body: { name: 'x', scope: 'read', tier } })
    t.match(isProblem(t, unlimited, 400, 'invalid-value'), { errors: [{ pointer: '/tier' }] }, tier)
  }

  const revoked = await call('POST', '/api-keys/revoke', {
    token: root.token,
    body: { owner: { kind: 'user', id: bob.id }, replace: true },
  })
  conforms(t, revoked, 'revokeApiKeys')
  t.same(revoked.json().ended, [forBob.id])
  const [successor] = revoked.json().successors
  t.match(successor, { previous: forBob.id, tier: 'gold', owner: { id: bob.id } })
  t.same(await introspect(forBob.key), { active: false })
  t.match(await introspect(successor.key), { active: true })
  t.match((await call('POST', '/api-keys/revoke', { token: root.token, body: { prefix: 'urgent' } })).json(), {
    ended: [forService.id],
    successors: [],
  })
  const wrong = [
    {},
    { all: true, prefix: 'sk' },
    { all: false },
    { replace: true },
    { owner: 'bob' },
    { continue: 'x' },
  ]
  for (const body of [...wrong, { all: true, continue: server.ctx.random.uuid() }]) {
    const reply = await call('POST', '/api-keys/revoke', { token: root.token, body })
    isProblem(t, reply, 400, 'invalid-members')
  }
  const unheardOf = { continue: server.ctx.random.uuid() }
  isProblem(t, await call('POST', '/api-keys/revoke', { token: root.token, body: unheardOf }), 404, 'not-found')
  const actors = (await server.audit('api_key.changed')).map(({ actor }) => actor)
  t.ok(actors.includes(`user:${root.id}`))
})

t.test(
  'an answer has 500 keys that ended and 500 successors at most, and the next ones are asked for by the end',
  async (t) => {
    const { id } = await make(root.token, { prefix: 'many' })
    await copyKeys(server, id, 510)
    const ask = async (body: Readonly<Record<string, unknown>>, token = root.token) => {
      const reply = await call('POST', '/api-keys/revoke', { token, body })
      if (reply.statusCode === 200) conforms(t, reply, 'revokeApiKeys')
      return reply.json()
    }
    const first = await ask({ prefix: 'many', replace: true })
    t.match(first, { complete: false, ended: { length: 500 }, successors: { length: 500 } })
    t.match(await ask({ continue: first.end }, bob.token), { status: 403 })
    const second = await ask({ continue: first.end })
    t.match(second, { complete: true, ended: [], successors: { length: 11 }, end: first.end })
    const previous = [...first.successors, ...second.successors].map((each: { previous: string }) => each.previous)
    t.equal(new Set(previous).size, 511)
    t.same(
      first.ended.filter((each: string) => !previous.includes(each)),
      [],
    )
    t.match(await introspect(second.successors[0].key), { active: true })
    await call('POST', '/api-keys/revoke', { token: root.token, body: { prefix: 'many' } })
  },
)

t.test('what a key may do is changed everywhere within the second: whoever remembers it asks again', async (t) => {
  const made = await make(ada.token, { scope: 'read write' })
  await call('PATCH', `/api-keys/${made.id}`, { token: ada.token, body: { scope: 'read' } })
  t.match(await introspect(made.key, beside), { scope: 'read' })
  // What was exchanged for the wider key ends with it.
  t.match(ctx.revocations.find({ kind: 'api_key', target: made.id }), { terminal: false })
  const [event] = (await server.audit('api_key.changed')).filter(({ detail }) => detail?.['key'] === made.id)
  t.match(event, {
    actor: `user:${ada.id}`,
    subject: ada.id,
    detail: { narrower: true, before: { scope: 'read write' }, after: { scope: 'read' } },
  })
})

t.test('a key of a user is worth what roles allow, at each use', async (t) => {
  const identifier = 'https://roles.example'
  const api = await server.createResource(identifier, 'r:read r:write', { usesRoles: true })
  await createRole(ctx, { resource: identifier, name: 'reader', scope: ['r:read'] }, { actor: 'operator' })
  await grantRole(ctx, identifier, 'reader', { kind: 'user', holder: ada.id }, { actor: 'operator' })
  const made = await make(ada.token, { scope: 'r:read r:write' })
  const reply = await server.post('/introspect', { token: made.key }, { authorization: api.basic })
  t.match(reply.json(), { active: true, scope: 'r:read' })
})

t.test('a publishable key and a signing key by HTTP', async (t) => {
  const pk = await make(ada.token, { kind: 'publishable', scope: 'orders:read', origins: ['https://shop.example'] })
  t.match(pk, { kind: 'publishable', origins: ['https://shop.example'], prefix: 'pk' })
  const path = `/api-keys/${pk.id}`
  for (const body of [{ scope: 'write' }, { origins: [] }, { origins: ['https://shop.example/path'] }]) {
    isProblem(t, await call('PATCH', path, { token: ada.token, body }), 400, 'invalid-value')
  }
  const origins = ['https://other.shop.example']
  t.match((await call('PATCH', path, { token: ada.token, body: { origins } })).json(), { origins })

  const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  const signing = await make(ada.token, { kind: 'signing', jwk })
  t.match(signing, { kind: 'signing', jwk })
  t.notOk('key' in signing)
  isProblem(
    t,
    await call('POST', '/api-keys', { token: ada.token, body: { name: 'x', scope: 'read', jwk } }),
    400,
    'invalid-value',
  )
})

t.test('a prefix of one’s own is for administrators, and sk, pk and sig are each for one kind', async (t) => {
  const origins = ['https://shop.example']
  const kinds = [
    [{}, 'sk'],
    [{ kind: 'publishable', scope: 'orders:read', origins }, 'pk'],
    [{ kind: 'signing', jwk: newPublicJwk() }, 'sig'],
  ] as const
  for (const [body, own] of kinds) {
    t.match(await make(ada.token, { ...body, prefix: own }), { prefix: own })
    const ask = (token: string, prefix: string) =>
      call('POST', '/api-keys', { token, body: { name: 'x', scope: 'read', ...body, prefix } })
    for (const prefix of ['sk', 'pk', 'sig', 'acme'].filter((each) => each !== own)) {
      for (const token of [ada.token, service.token]) {
        const problem = isProblem(t, await ask(token, prefix), 403, 'forbidden')
        t.match(problem, { detail: new RegExp(`administrator.*other than ${own},`), errors: [{ pointer: '/prefix' }] })
      }
      const reply = await ask(root.token, prefix)
      if (prefix === 'acme') t.match(reply.json(), { prefix })
      else t.match(isProblem(t, reply, 400, 'invalid-value'), { errors: [{ pointer: '/prefix' }] })
    }
  }
})

t.test('RFC 9457 §3: every member that is wrong is named by a JSON pointer', async (t) => {
  const body = { name: '', scope: 7, networks: ['192.0.2.0/24', 5], expires_in: 1.5, 'a/b~c': true }
  const problem = isProblem(t, await call('POST', '/api-keys', { token: ada.token, body }), 400, 'invalid-members')
  const pointers = (problem['errors'] as { pointer: string }[]).map(({ pointer }) => pointer)
  t.same(pointers.toSorted(), ['/a~1b~0c', '/expires_in', '/name', '/networks/1', '/scope'])
  for (const [wrong, pointer] of [
    [{ networks: ['nowhere'] }, '/networks'],
    [{ scope: 'read  write' }, '/scope'],
    [{ scope: 'unheard-of' }, '/scope'],
    [{ name: '\u202E' }, '/name'],
    [{ resources: ['https://nobody.example'] }, '/resources'],
    [{ origins: ['https://shop.example'] }, '/origins'],
    [{ kind: 'signing' }, '/jwk'],
  ] as const) {
    const reply = await call('POST', '/api-keys', { token: ada.token, body: { name: 'x', scope: 'read', ...wrong } })
    t.match(isProblem(t, reply, 400, 'invalid-value'), { errors: [{ pointer }] })
  }
  const made = await make(ada.token)
  for (const expires_at of [clock.now().toISOString(), '2100-01-01T00:00:00Z']) {
    const reply = await call('PATCH', `/api-keys/${made.id}`, { token: ada.token, body: { expires_at } })
    t.match(isProblem(t, reply, 400, 'invalid-value'), { errors: [{ pointer: '/expires_at' }] })
  }
  for (const expires_at of ['tomorrow', '2026-13-01T00:00:00Z', '2026-01-01', 1]) {
    const reply = await call('PATCH', `/api-keys/${made.id}`, { token: ada.token, body: { expires_at } })
    isProblem(t, reply, 400, 'invalid-members')
  }
  isProblem(t, await call('PATCH', `/api-keys/${made.id}`, { token: ada.token, body: {} }), 400, 'invalid-members')
})

t.test('a key that is over can be looked at and not be changed', async (t) => {
  const made = await make(ada.token)
  await call('DELETE', `/api-keys/${made.id}`, { token: ada.token })
  isProblem(t, await call('PATCH', `/api-keys/${made.id}`, { token: ada.token, body: { name: 'x' } }), 409, 'conflict')
  isProblem(t, await call('POST', `/api-keys/${made.id}/rotate`, { token: ada.token, body: {} }), 409, 'conflict')
  const rotated = await make(ada.token)
  t.equal((await call('POST', `/api-keys/${rotated.id}/rotate`, { token: ada.token })).statusCode, 201, 'no body')
  isProblem(t, await call('POST', `/api-keys/${rotated.id}/rotate`, { token: ada.token }), 409, 'conflict')
  const path = `/api-keys/${rotated.id}`
  isProblem(t, await call('PATCH', path, { token: ada.token, body: { expires_at: 'never' } }), 400, 'invalid-value')
})

t.test('RFC 6750 §3.1: what is wrong with the token is a challenge', async (t) => {
  const missing = await call('GET', '/api-keys')
  isProblem(t, missing, 401, 'token-missing')
  t.equal(missing.headers['www-authenticate'], `Bearer realm="${testIssuer}"`)
  const wrong = await call('GET', '/api-keys', { token: 'x' })
  isProblem(t, wrong, 401, 'invalid-token')
  t.match(wrong.headers['www-authenticate'], /error="invalid_token"/)
  const narrow = await call('GET', '/api-keys', { token: await tokenOf(ada.id, scene.portal, ['openid']) })
  isProblem(t, narrow, 403, 'insufficient-scope')
  t.match(narrow.headers['www-authenticate'], /error="insufficient_scope".*scope="api_keys"/)
  const inQuery = await call('GET', `/api-keys?access_token=${ada.token}`)
  isProblem(t, inQuery, 400, 'invalid-request')
  t.match(inQuery.headers['www-authenticate'], /error="invalid_request"/)
})

t.test('PATCH, DELETE and rotate at once, at two processes: each answer holds, and the end stays', async (t) => {
  for (let round = 0; round < 5; round++) {
    const made = await make(ada.token, { scope: 'read write' })
    const path = `/api-keys/${made.id}`
    const { token } = ada
    const [patched, ended, rotated, patchedToo, rotatedToo] = await Promise.all([
      call('PATCH', path, { token, body: { scope: 'read' } }),
      call('DELETE', path, { token }, beside),
      call('POST', `${path}/rotate`, { token, body: {} }, beside),
      call('PATCH', path, { token, body: { name: 'Other' } }, beside),
      call('POST', `${path}/rotate`, { token, body: {} }),
    ])
    t.equal(ended.statusCode, 204)
    for (const reply of [patched, patchedToo]) t.ok([200, 409].includes(reply.statusCode), reply.body)
    const successors = [rotated, rotatedToo].filter(({ statusCode }) => statusCode === 201)
    t.ok(successors.length <= 1, 'one successor at most')
    for (const reply of [rotated, rotatedToo]) t.ok([201, 409].includes(reply.statusCode), reply.body)
    const after = (await call('GET', path, { token })).json()
    t.equal(after.state, 'ended')
    t.equal(after.scope, patched.statusCode === 200 ? 'read' : 'read write')
    t.equal(after.name, patchedToo.statusCode === 200 ? 'Other' : 'Test')
    t.equal(after.successor, successors[0]?.json().id)
    t.same(await introspect(made.key), { active: false })
    for (const reply of successors) t.match(await introspect(reply.json().key, beside), { active: true })
  }
})

t.test('many changes of different members at once: none is lost', async (t) => {
  const made = await make(ada.token, { scope: 'read write' })
  const path = `/api-keys/${made.id}`
  const changes = [{ name: 'New' }, { description: 'More' }, { scope: 'read' }, { networks: ['192.0.2.1/32'] }]
  await Promise.all(
    changes.map((body, index) => call('PATCH', path, { token: ada.token, body }, index % 2 ? beside : server)),
  )
  t.match((await call('GET', path, { token: ada.token })).json(), Object.assign({}, ...changes))
})

t.test('a client that loses its registration is asked for it at each change', async (t) => {
  const client = await server.createService('read write api_keys')
  const token = await serviceToken(client)
  const made = await make(token)
  await updateClient(ctx, client.clientId, { scope: 'read api_keys' }, registration)
  const reply = await call('PATCH', `/api-keys/${made.id}`, { token, body: { scope: 'read write' } })
  isProblem(t, reply, 400, 'invalid-value')
})

t.test('an application that is not the operator’s own gets by a key no more than it may ask for', async (t) => {
  const token = await tokenOf(ada.id, stranger)
  const body = { name: 'x', scope: 'read write' }
  const beyond = await call('POST', '/api-keys', { token, body })
  t.match(isProblem(t, beyond, 403, 'forbidden'), { errors: [{ pointer: '/scope' }] })
  const own = await make(token, { scope: 'read' })
  isProblem(t, await call('PATCH', `/api-keys/${own.id}`, { token, body: { scope: 'read write' } }), 403, 'forbidden')
  const wide = await make(ada.token, { scope: 'read write' })
  isProblem(t, await call('POST', `/api-keys/${wide.id}/rotate`, { token, body: {} }), 403, 'forbidden')
  t.equal((await call('PATCH', `/api-keys/${wide.id}`, { token, body: { scope: 'write' } })).statusCode, 200, 'less')
  const asRoot = await tokenOf(root.id, stranger)
  const all = { all: true, replace: true }
  isProblem(t, await call('POST', '/api-keys/revoke', { token: asRoot, body: all }), 403, 'forbidden')
})

t.test('an owner that can have no key', async (t) => {
  const { id } = await server.createUser('dan@example.com')
  await createApiKey(ctx, { owner: { kind: 'user', id }, name: 'x', scope: ['read'] }, { actor: 'operator' })
  const token = await tokenOf(id)
  await disableUser(ctx, id, { actor: 'operator' })
  isProblem(t, await call('GET', '/api-keys', { token }), 401, 'invalid-token')
  const reply = await call('POST', '/api-keys', {
    token: root.token,
    body: { name: 'x', scope: 'read', owner: { kind: 'user', id } },
  })
  t.match(isProblem(t, reply, 400, 'invalid-value'), { errors: [{ pointer: '/owner' }] })
})
