import t from 'tap'
import { disableClient } from '../../src/clients/index.js'
import { createTestServer, testIssuer } from '../support/server.js'
import {
  apiIdentifier,
  application,
  claimsOf,
  introspect,
  lookupsOf,
  openScene,
  postAs,
  refresh,
  tokensFor,
} from '../support/tokens.js'

const scene = await openScene(t)
const { server, client, api, user } = scene
const inactive = { active: false }

t.test('RFC 7662 §2.2: the resource server and the client learn what the token says', async (t) => {
  const tokens = await tokensFor(scene)
  const reply = await postAs(server, api, '/introspect', { token: tokens.access_token })
  t.equal(reply.statusCode, 200)
  t.match(reply.headers['content-type'], /^application\/json/)
  t.equal(reply.headers['cache-control'], 'no-store')
  const now = Math.floor(server.clock.now().getTime() / 1000)
  const expected = {
    active: true,
    token_type: 'Bearer',
    iss: testIssuer,
    sub: user.id,
    aud: apiIdentifier,
    client_id: client.clientId,
    scope: 'read write',
    grant_id: tokens.issued.grantId,
    sid: tokens.issued.sid,
    jti: claimsOf(tokens.access_token)['jti'],
    iat: now,
    exp: now + 600,
    status: claimsOf(tokens.access_token)['status'],
  }
  t.same(reply.json(), expected)
  t.same(await introspect(server, client, tokens.access_token), expected)
})

t.test('RFC 7662 §2.2: of a refresh token its own client learns what it stands for', async (t) => {
  const tokens = await tokensFor(scene, { offline: true })
  const now = Math.floor(server.clock.now().getTime() / 1000)
  t.same(await introspect(server, client, tokens.refresh_token), {
    active: true,
    iss: testIssuer,
    sub: user.id,
    client_id: client.clientId,
    scope: 'read write',
    grant_id: tokens.issued.grantId,
    iat: now,
    exp: now + 7 * 86_400,
  })
  t.same(await introspect(server, api, tokens.refresh_token), inactive, 'to an API it says nothing')

  const next = (await refresh(server, client, tokens.refresh_token)).json()
  t.same(await introspect(server, client, tokens.refresh_token), inactive, 'once it was used')
  t.match(await introspect(server, client, next.refresh_token), { active: true })
})

t.test('RFC 7662 §2.2: what has expired is inactive', async (t) => {
  const opaque = await server.createResource('https://opaque.example', 'view', { tokenFormat: 'opaque' })
  const service = await server.createService('view read')
  const ask = async (scope: string) =>
    (await postAs(server, service, '/token', { grant_type: 'client_credentials', scope })).json().access_token
  const tokens = [
    [api, await ask('read')],
    [opaque, await ask('view')],
  ] as const
  // `exp` has whole seconds.
  const untilExpiry = 600 - (server.clock.now().getTime() % 1000) / 1000
  server.clock.advance(untilExpiry - 0.001)
  for (const [owner, token] of tokens) t.match(await introspect(server, owner, token), { active: true })
  server.clock.advance(0.001)
  for (const [owner, token] of tokens) t.same(await introspect(server, owner, token), inactive)
})

t.test('RFC 7662 §2.1: the caller proves who it is', async (t) => {
  const { access_token: token } = await tokensFor(scene)
  const spa = await server.createClient({ ...application, token_endpoint_auth_method: 'none' })
  const own = await tokensFor({ ...scene, client: spa })
  for (const [form, headers] of [
    [{ token }, {}],
    [{ token, client_id: client.clientId }, {}],
    [{ token: own.access_token, client_id: spa.clientId }, {}],
    [{ token }, { authorization: `Bearer ${token}` }],
    [{ token }, { authorization: api.basic.slice(0, -8) }],
  ] as const) {
    const reply = await server.post('/introspect', form, headers)
    t.equal(reply.statusCode, 401)
    t.match(reply.json(), { error: 'invalid_client' })
    t.match(reply.headers['www-authenticate'], /^Basic realm="/)
  }
  const missing = await postAs(server, api, '/introspect', {})
  t.match(missing.json(), { error: 'invalid_request', error_description: 'The parameter token is missing.' })
  t.equal((await server.get(`/introspect?token=${token}`)).statusCode, 405)
})

t.test('RFC 7662 §2.2: whatever is no token of ours is inactive, with no reason told', async (t) => {
  const { access_token } = await tokensFor(scene)
  for (const token of [
    'x',
    '..',
    '{}',
    `${access_token}x`,
    `x${access_token}`,
    access_token.slice(0, -1),
    `oat_1_${'x'.repeat(43)}`,
    `ort_1_${'x'.repeat(43)}`,
    `oac_1_${'x'.repeat(43)}`,
    'x'.repeat(8192),
  ]) {
    t.same(await introspect(server, api, token), inactive, token.slice(0, 10))
  }
})

t.test('RFC 7662 §2.1: the hint is of no consequence', async (t) => {
  const { access_token: token } = await tokensFor(scene)
  for (const token_type_hint of ['refresh_token', 'access_token', 'pdf']) {
    const reply = await postAs(server, api, '/introspect', { token, token_type_hint })
    t.match(reply.json(), { active: true })
  }
})

t.test('a disabled resource server learns nothing', async (t) => {
  const own = await server.createResource('https://gone.example', 'gone')
  await disableClient(server.ctx, own.clientId, { actor: 'operator' })
  const { access_token: token } = await tokensFor(scene)
  t.equal((await postAs(server, own, '/introspect', { token })).statusCode, 401)
})

t.test('what was revoked is asked of the database each time, all of one turn in one statement', async (t) => {
  const tokens = await Promise.all(Array.from({ length: 8 }, () => tokensFor(scene)))
  const beside = await createTestServer(t, { beside: server })
  const askAll = () => Promise.all(tokens.map(({ access_token }) => introspect(beside, api, access_token)))
  await askAll()
  const statements = await lookupsOf(beside, askAll)
  t.ok(statements.length >= 1, 'never from memory')
  t.ok(statements.length <= 2, 'never one by one')
})
