import { createLocalJWKSet, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { createRole, grantRole } from '../../src/resources/index.js'
import { challenge, verifier } from '../support/grants.js'
import { createTestServer, sql, type TestClient, testIssuer } from '../support/server.js'
import {
  apiIdentifier,
  application,
  claimsOf,
  codeFor,
  introspect,
  openScene,
  postAs,
  redeem,
  type Scene,
  tokensFor,
} from '../support/tokens.js'

const scene = await openScene(t)
const { server, client, api } = scene
const by = { actor: 'operator' }

t.test('RFC 6749 §4.1.4: a code is exchanged for tokens', async (t) => {
  const issued = await codeFor(scene)
  const reply = await redeem(server, client, issued)

  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['cache-control'], 'no-store')
  t.equal(reply.headers['pragma'], 'no-cache')
  t.match(reply.headers['content-type'], /^application\/json/)
  const body = reply.json()
  t.same(Object.keys(body).sort(), ['access_token', 'expires_in', 'refresh_token', 'scope', 'token_type'])
  t.match(body, { token_type: 'Bearer', expires_in: 600, scope: 'read write' })
  t.match(body.refresh_token, /^ort_[0-9a-z]+_[\w-]{43}$/)

  const keys = createLocalJWKSet((await server.get('/jwks')).json())
  const { payload } = await jwtVerify(body.access_token, keys, {
    issuer: testIssuer,
    audience: apiIdentifier,
    typ: 'at+jwt',
    currentDate: server.clock.now(),
  })
  t.match(payload, { sub: scene.user.id, client_id: client.clientId, grant_id: issued.grantId, sid: issued.sid })
  t.match(await server.audit('code.redeemed'), [
    { actor: `client:${client.clientId}`, subject: scene.user.id, grantId: issued.grantId, ip: '127.0.0.1' },
  ])
})

t.test('RFC 6749 §5.1: a refresh token comes only where the client is registered for it', async (t) => {
  const other = await server.createClient({ ...application, grant_types: ['authorization_code'] })
  const issued = await codeFor({ ...scene, client: other })
  const reply = await redeem(server, other, issued)
  t.same(Object.keys(reply.json()).sort(), ['access_token', 'expires_in', 'scope', 'token_type'])
})

t.test('RFC 6749 §4.1.2: of concurrent redemptions exactly one is answered', async (t) => {
  const beside = await createTestServer(t, { beside: server })
  const issued = await codeFor(scene)
  const replies = await Promise.all(
    Array.from({ length: 16 }, (_, index) => redeem(index % 2 ? beside : server, client, issued)),
  )
  t.equal(replies.filter(({ statusCode }) => statusCode === 200).length, 1)
  for (const reply of replies.filter(({ statusCode }) => statusCode !== 200)) {
    t.equal(reply.statusCode, 400)
    t.match(reply.json(), { error: 'invalid_grant' })
  }
})

t.test('RFC 6749 §4.1.2: a code is redeemed within sixty seconds', async (t) => {
  const early = await codeFor(scene)
  const late = await codeFor(scene)
  server.clock.advance(59.999)
  t.equal((await redeem(server, client, early)).statusCode, 200)
  server.clock.advance(0.001)
  t.match((await redeem(server, client, late)).json(), { error: 'invalid_grant' })
})

t.test('RFC 6749 §4.1.3: the redirect URI is the one of the request, if that named one', async (t) => {
  for (const redirect_uri of ['https://app.example/cb/', 'https://app.example/CB', 'https://app.example/cb?x', '']) {
    const issued = await codeFor(scene)
    const reply = await redeem(server, client, issued, { redirect_uri })
    t.match(reply.json(), { error: 'invalid_grant' }, redirect_uri || 'none')
  }
  const none = await codeFor(scene, { redirectUri: undefined })
  t.equal((await redeem(server, client, none)).statusCode, 200, 'the request had none')
})

t.test('RFC 7636 §4.6: the verifier must match, and one failed check spends the code', async (t) => {
  for (const code_verifier of [verifier.replace('d', 'e'), 'x'.repeat(43), challenge, 'short', '']) {
    const issued = await codeFor(scene)
    t.match((await redeem(server, client, issued, { code_verifier })).json(), { error: 'invalid_grant' })
    const second = await redeem(server, client, issued)
    t.match(second.json(), { error: 'invalid_grant' }, 'the right one comes too late')
    const about = { clientId: client.clientId, subject: scene.user.id, grantId: issued.grantId }
    const refused = (await server.audit('code.refused')).filter(({ grantId }) => grantId === issued.grantId)
    t.match(refused, [{ ...about, reason: /^code_verifier_/, ip: '127.0.0.1' }], 'the audit says why, once')
    t.equal(refused.length, 1)
  }
})

t.test('RFC 7636 §4.4.1: a confidential client that is exempted redeems without a verifier', async (t) => {
  const exempted = await server.createClient({ ...application, require_pkce: false })
  const issued = await codeFor({ ...scene, client: exempted }, { codeChallenge: undefined })
  t.equal((await redeem(server, exempted, issued)).statusCode, 200)
})

t.test('RFC 6749 §5.2: what is missing is named, and the code is as good as before', async (t) => {
  const issued = await codeFor(scene)
  const form = { grant_type: 'authorization_code' }
  t.match((await postAs(server, client, '/token', form)).json(), {
    error: 'invalid_request',
    error_description: 'The parameter code is missing.',
  })
  const service = await server.createService()
  t.match((await redeem(server, service, issued)).json(), { error: 'unauthorized_client' })
  const unknown = await redeem(server, client, issued, { grant_type: 'password' })
  t.match(unknown.json(), { error: 'unsupported_grant_type' })
  const wrongSecret = await redeem(server, { ...client, basic: api.basic.slice(0, -4) }, issued)
  t.equal(wrongSecret.statusCode, 401)
  t.equal((await redeem(server, client, issued)).statusCode, 200)
})

t.test('RFC 8707 §2.2: of several resources each token request names one', async (t) => {
  const other = 'https://other.example.com'
  await server.createResource(other, 'other:read')
  const wide = await server.createClient({ ...application, scope: `${application.scope} other:read` })
  const issued = await codeFor(
    { ...scene, client: wide },
    { scope: ['read', 'write', 'other:read'], resources: [apiIdentifier, other] },
  )
  t.match((await redeem(server, wide, issued)).json(), { error: 'invalid_target' }, 'none is named')
  const both = await redeem(server, wide, issued, { resource: [apiIdentifier, other] })
  t.match(both.json(), { error: 'invalid_target' }, 'two are named')
  const third = await redeem(server, wide, issued, { resource: 'https://third.example.com' })
  t.match(third.json(), { error: 'invalid_target' }, 'one that was not granted')

  const reply = await redeem(server, wide, issued, { resource: other })
  t.equal(reply.statusCode, 200, 'none of that has spent the code')
  t.match(reply.json(), { scope: 'other:read' })
  t.equal(claimsOf(reply.json().access_token)['aud'], other)
})

t.test('the code is hashed at rest, and what was made for it is written with it', async (t) => {
  const { issued } = await tokensFor(scene)
  const rows = await sql(server, 'SELECT row_to_json(a)::text AS text FROM authorization_code a')
  t.ok(rows.length > 0)
  t.notMatch(rows.map(({ text }) => text).join(), issued.code.split('_').at(-1) ?? '')
  const tokens = await sql(server, 'SELECT 1 FROM refresh_token WHERE grant_id = $1', [issued.grantId])
  t.equal(tokens.length, 1)
})

t.test('RFC 6749 §5.1: the lifetime is the least of server, resource, client and scopes', async (t) => {
  await server.createResource('https://short.example', '', {
    tokenLifetime: 300,
    scopes: [{ name: 'view' }, { name: 'pay', tokenLifetime: 60 }],
  })
  const lifetime = async (scope: string, metadata: object = {}) => {
    const wide = { ...application, scope: 'read view pay', ...metadata }
    const short = await server.createClient(wide)
    const resource = scope.includes('read') ? apiIdentifier : 'https://short.example'
    const tokens = await tokensFor({ ...scene, client: short }, { scope: scope.split(' '), resources: [resource] })
    const { iat, exp } = claimsOf(tokens.access_token)
    t.equal(Number(exp) - Number(iat), tokens.expires_in)
    return tokens.expires_in
  }
  t.equal(await lifetime('read'), 600)
  t.equal(await lifetime('view'), 300)
  t.equal(await lifetime('view pay'), 60)
  t.equal(await lifetime('read', { access_token_lifetime: 120 }), 120)
  t.equal(await lifetime('view', { access_token_lifetime: 120 }), 120)
  t.equal(await lifetime('read', { access_token_lifetime: 3600 }), 600, 'a client can only lower it')
})

t.test('a token does not outlive its grant', async (t) => {
  const tokens = await tokensFor(scene, { lifetime: 100 })
  t.equal(tokens.expires_in, 100)
})

/** What every access token says. RFC 9068 §2.2. */
const always = ['aud', 'client_id', 'exp', 'iat', 'iss', 'jti', 'scope', 'sub']

t.test('RFC 9068 §2.2: the claim set of every kind of token', async (t) => {
  const claims = ['roles', 'auth_time', 'email', 'name']
  const kinds = [
    { name: 'JWT', identifier: 'https://jwt.example', settings: {}, more: [] },
    { name: 'opaque', identifier: 'https://opaque.example', settings: { tokenFormat: 'opaque' }, more: [] },
    { name: 'JWT, claims asked', identifier: 'https://rich-jwt.example', settings: { claims }, more: claims },
    {
      name: 'opaque, claims asked',
      identifier: 'https://rich-opaque.example',
      settings: { tokenFormat: 'opaque', claims },
      more: claims,
    },
  ]
  for (const [index, { name, identifier, settings, more }] of kinds.entries()) {
    const scope = `s${index}`
    const owner = await server.createResource(identifier, scope, settings)
    const app = await server.createClient({ ...application, scope })
    const service = await server.createService(scope)
    if (more.length > 0) {
      // Held, and used by the resource alone: roles of other resources are not its concern.
      await createRole(server.ctx, { resource: identifier, name: 'reader', scope: [scope] }, by)
      await grantRole(server.ctx, identifier, 'reader', { kind: 'user', holder: scene.user.id }, by)
      await grantRole(server.ctx, identifier, 'reader', { kind: 'client', holder: service.clientId }, by)
      await server.refresh()
    }
    const inScene: Scene = { ...scene, client: app }
    const bound = await tokensFor(inScene, { scope: [scope], resources: [identifier] })
    const offline = await tokensFor(inScene, { scope: [scope], resources: [identifier], offline: true })
    const machine = await postAs(server, service, '/token', { grant_type: 'client_credentials', scope })

    await hasClaims(t, `${name}, of a user, bound to a session`, owner, bound.access_token, [
      ...[...always, 'grant_id', 'sid'],
      ...more,
    ])
    await hasClaims(t, `${name}, of a user, offline`, owner, offline.access_token, [...always, 'grant_id', ...more])
    await hasClaims(t, `${name}, of a client`, owner, machine.json().access_token, [
      ...always,
      ...more.filter((claim) => claim === 'roles'),
    ])
  }
})

t.test('RFC 9068 §2.2: a token without a scope is for the issuer, and says no scope', async (t) => {
  const service = await server.createService()
  const machine = await postAs(server, service, '/token', { grant_type: 'client_credentials' })
  await hasClaims(
    t,
    'of a client',
    service,
    machine.json().access_token,
    always.filter((name) => name !== 'scope'),
  )
  const own = await tokensFor(scene, { scope: ['openid'], resources: [] })
  await hasClaims(t, 'of a user', client, own.access_token, [...always, 'grant_id', 'sid'])
  t.equal(claimsOf(own.access_token)['aud'], testIssuer)
})

/** Of the token itself where it can be read (then it has a place in a status list), and of what introspection tells. */
async function hasClaims(
  t: Test,
  name: string,
  owner: TestClient,
  token: string,
  expected: readonly string[],
): Promise<void> {
  const sorted = [...expected, ...(token.startsWith('ey') ? ['status'] : [])].sort()
  if (token.startsWith('ey')) t.same(Object.keys(claimsOf(token)).sort(), sorted, `${name}: the claims`)
  const { active, token_type, ...told } = await introspect(server, owner, token)
  t.match({ active, token_type }, { active: true, token_type: 'Bearer' }, name)
  t.same(Object.keys(told).sort(), sorted, `${name}: what introspection tells`)
  if (token.startsWith('ey')) t.same(told, claimsOf(token), `${name}: the same`)
}
