import t, { type Test } from 'tap'
import { updateClient } from '../../src/clients/index.js'
import { revoke } from '../../src/revocation/index.js'
import { sessions } from '../../src/store/index.js'
import { createTestServer, registration, sql, type TestClient } from '../support/server.js'
import {
  apiIdentifier,
  application,
  claimsOf,
  codeFor,
  type IssuedTokens,
  introspect,
  openScene,
  postAs,
  redeem,
  refresh,
  revokeAt,
  type Scene,
  type TokenAnswer,
  tokensFor,
} from '../support/tokens.js'

const scene = await openScene(t)
const { server, client, api } = scene
const day = 86_400
const cause = { actor: 'operator', reason: 'test' }

/** The family is ended: neither the newest refresh token nor an access token of it is good. */
async function hasEnded(t: Test, of: TestClient, refreshToken: string, accessToken: string): Promise<void> {
  t.match((await refresh(server, of, refreshToken)).json(), { error: 'invalid_grant' }, 'the newest token is refused')
  t.same(await introspect(server, api, accessToken), { active: false }, 'its access tokens are ended')
}

async function lives(t: Test, of: TestClient, refreshToken: string): Promise<TokenAnswer> {
  const reply = await refresh(server, of, refreshToken)
  t.equal(reply.statusCode, 200, 'the family lives')
  return reply.json()
}

async function withWindow(seconds: number): Promise<{ client: TestClient; tokens: IssuedTokens }> {
  const other = await server.createClient({ ...application, refresh_token_retry_window: seconds })
  return { client: other, tokens: await tokensFor({ ...scene, client: other }, { offline: true }) }
}

t.test('RFC 6749 §6: a refresh gives new tokens and rotates the refresh token', async (t) => {
  const first = await tokensFor(scene)
  const reply = await refresh(server, client, first.refresh_token)
  t.equal(reply.statusCode, 200)
  t.equal(reply.headers['cache-control'], 'no-store')
  const second = reply.json()
  t.same(Object.keys(second).sort(), ['access_token', 'expires_in', 'refresh_token', 'scope', 'token_type'])
  t.not(second.refresh_token, first.refresh_token)
  t.not(second.access_token, first.access_token)
  t.match(second, { token_type: 'Bearer', expires_in: 600, scope: 'read write' })
  const [before, after] = [claimsOf(first.access_token), claimsOf(second.access_token)]
  for (const name of ['sub', 'aud', 'client_id', 'grant_id', 'sid', 'scope']) t.equal(after[name], before[name], name)
  t.not(after['jti'], before['jti'])
  t.match(await server.audit('token.refreshed'), [{ subject: scene.user.id, grantId: first.issued.grantId }])
})

t.test('a retry within the window gets the same answer, byte by byte', async (t) => {
  const first = await tokensFor(scene)
  const answer = await refresh(server, client, first.refresh_token, { scope: 'read write' })
  server.clock.advance(9.999)
  const retry = await refresh(server, client, first.refresh_token, { scope: 'read write' })
  t.equal(retry.statusCode, 200)
  t.equal(retry.body, answer.body)
  await lives(t, client, answer.json().refresh_token)
})

t.test('RFC 9700 §4.14.2: after the window a second use ends the family', async (t) => {
  const first = await tokensFor(scene)
  const second = (await refresh(server, client, first.refresh_token)).json()
  server.clock.advance(10)
  t.match((await refresh(server, client, first.refresh_token)).json(), { error: 'invalid_grant' })
  await hasEnded(t, client, second.refresh_token, second.access_token)
  const { grantId } = first.issued
  const events = await server.audit('grant.revoked')
  t.match(
    events.filter((event) => event.grantId === grantId),
    [{ actor: `client:${client.clientId}`, reason: 'refresh_token_reused' }],
  )
})

t.test('a client may have no window at all', async (t) => {
  const { client, tokens } = await withWindow(0)
  const second = (await refresh(server, client, tokens.refresh_token)).json()
  t.match((await refresh(server, client, tokens.refresh_token)).json(), { error: 'invalid_grant' })
  await hasEnded(t, client, second.refresh_token, second.access_token)
})

t.test('a client may have a window of a day', async (t) => {
  const { client, tokens } = await withWindow(day)
  const answer = await refresh(server, client, tokens.refresh_token)
  server.clock.advance(day - 0.001)
  t.equal((await refresh(server, client, tokens.refresh_token)).body, answer.body)
  server.clock.advance(0.001)
  t.match((await refresh(server, client, tokens.refresh_token)).json(), { error: 'invalid_grant' })
  await hasEnded(t, client, answer.json().refresh_token, answer.json().access_token)
})

t.test('once the successor was used, the token before it is a reuse, whatever the window', async (t) => {
  const { client, tokens } = await withWindow(day)
  const second = (await refresh(server, client, tokens.refresh_token)).json()
  const third = await lives(t, client, second.refresh_token)
  t.match((await refresh(server, client, tokens.refresh_token)).json(), { error: 'invalid_grant' })
  await hasEnded(t, client, third.refresh_token, third.access_token)
})

t.test('after a revocation there is no answer again', async (t) => {
  const { client, tokens } = await withWindow(day)
  const second = (await refresh(server, client, tokens.refresh_token)).json()
  t.equal((await revokeAt(server, client, second.refresh_token)).statusCode, 200)
  t.match((await refresh(server, client, tokens.refresh_token)).json(), { error: 'invalid_grant' })
})

t.test('RFC 6749 §10.4: from another client it is an unknown token, and ends nothing', async (t) => {
  const other = await server.createClient(application)
  const first = await tokensFor(scene)
  t.match((await refresh(server, other, first.refresh_token)).json(), { error: 'invalid_grant' }, 'before its use')
  const second = await lives(t, client, first.refresh_token)
  t.match((await refresh(server, other, first.refresh_token)).json(), { error: 'invalid_grant' }, 'within the window')
  server.clock.advance(11)
  t.match((await refresh(server, other, first.refresh_token)).json(), { error: 'invalid_grant' }, 'after the window')
  t.match(await introspect(server, api, second.access_token), { active: true })
  await lives(t, client, second.refresh_token)
})

t.test('another form is no retry', async (t) => {
  const forms: Readonly<Record<string, string>>[] = [
    { scope: 'read' },
    { scope: 'write read' },
    { resource: apiIdentifier },
    { unknown: 'x' },
  ]
  for (const form of forms) {
    const first = await tokensFor(scene)
    const second = (await refresh(server, client, first.refresh_token)).json()
    const reply = await refresh(server, client, first.refresh_token, form)
    t.match(reply.json(), { error: 'invalid_grant' }, JSON.stringify(form))
    await hasEnded(t, client, second.refresh_token, second.access_token)
  }
})

t.test('the order of the parameters, and empty ones, are no part of the form', async (t) => {
  const first = await tokensFor(scene)
  const answer = await refresh(server, client, first.refresh_token, { scope: 'read', resource: apiIdentifier })
  const reordered = { resource: apiIdentifier, scope: 'read', empty: '' }
  const retry = await postAs(server, client, '/token', {
    ...reordered,
    refresh_token: first.refresh_token,
    grant_type: 'refresh_token',
  })
  t.equal(retry.body, answer.body)
})

t.test('a retry may prove the client by another method', async (t) => {
  const changing = await server.createClient(application)
  const first = await tokensFor({ ...scene, client: changing })
  const answer = await refresh(server, changing, first.refresh_token)
  await updateClient(server.ctx, changing.clientId, { token_endpoint_auth_method: 'client_secret_post' }, registration)
  const retry = await server.post('/token', {
    client_id: changing.clientId,
    client_secret: changing.clientSecret,
    grant_type: 'refresh_token',
    refresh_token: first.refresh_token,
  })
  t.equal(retry.body, answer.body)
})

t.test('a public client rotates like any other', async (t) => {
  const spa = await server.createClient({ ...application, token_endpoint_auth_method: 'none' })
  const first = await tokensFor({ ...scene, client: spa })
  const answer = await refresh(server, spa, first.refresh_token)
  t.equal((await refresh(server, spa, first.refresh_token)).body, answer.body)
  server.clock.advance(10)
  t.match((await refresh(server, spa, first.refresh_token)).json(), { error: 'invalid_grant' })
  await hasEnded(t, spa, answer.json().refresh_token, answer.json().access_token)
})

t.test('without rotation the client keeps its token, and each use starts the idle time again', async (t) => {
  const steady = await server.createClient({ ...application, refresh_token_rotation: false })
  const tokens = await tokensFor({ ...scene, client: steady }, { offline: true })
  const beside = await createTestServer(t, { beside: server })
  const replies = await Promise.all(
    Array.from({ length: 8 }, (_, index) => refresh(index % 2 ? beside : server, steady, tokens.refresh_token)),
  )
  for (const reply of replies) {
    t.same(Object.keys(reply.json()).sort(), ['access_token', 'expires_in', 'scope', 'token_type'])
  }
  t.equal(new Set(replies.map((reply) => reply.json().access_token)).size, 8)
  for (let week = 0; week < 3; week++) {
    server.clock.advance(7 * day - 1)
    t.equal((await refresh(server, steady, tokens.refresh_token)).statusCode, 200)
  }
  server.clock.advance(7 * day)
  t.match((await refresh(server, steady, tokens.refresh_token)).json(), { error: 'invalid_grant' })
})

t.test('a refresh token that is not used for seven days ends', async (t) => {
  let { refresh_token } = await tokensFor(scene, { offline: true })
  server.clock.advance(7 * day - 0.001)
  refresh_token = (await lives(t, client, refresh_token)).refresh_token
  server.clock.advance(7 * day)
  t.match((await refresh(server, client, refresh_token)).json(), { error: 'invalid_grant' })
})

t.test('thirty days after the grant its refresh tokens end, however often they are used', async (t) => {
  let { refresh_token } = await tokensFor(scene, { offline: true })
  for (let used = 0; used < 5; used++) {
    server.clock.advance(6 * day - 1)
    refresh_token = (await lives(t, client, refresh_token)).refresh_token
  }
  server.clock.advance(5)
  t.match((await refresh(server, client, refresh_token)).json(), { error: 'invalid_grant' })
})

t.test('a client may have shorter lifetimes of its own', async (t) => {
  const short = await server.createClient({ ...application, refresh_token_idle_lifetime: 100 })
  let { refresh_token } = await tokensFor({ ...scene, client: short })
  server.clock.advance(99)
  refresh_token = (await lives(t, short, refresh_token)).refresh_token
  server.clock.advance(100)
  t.match((await refresh(server, short, refresh_token)).json(), { error: 'invalid_grant' })
})

t.test('RFC 6749 §6: a narrower scope concerns that access token alone', async (t) => {
  const first = await tokensFor(scene)
  const narrow = (await refresh(server, client, first.refresh_token, { scope: 'read' })).json()
  t.equal(narrow.scope, 'read')
  t.equal(claimsOf(narrow.access_token)['scope'], 'read')
  const full = await lives(t, client, narrow.refresh_token)
  t.equal(full.scope, 'read write')
  const wider = await refresh(server, client, full.refresh_token, { scope: 'read write openid' })
  t.match(wider.json(), { error: 'invalid_scope' })
  await lives(t, client, full.refresh_token)
})

t.test('RFC 8707 §2.2: each refresh may be for another resource of the grant', async (t) => {
  const other = 'https://other.example.com'
  await server.createResource(other, 'other:read')
  const wide = await server.createClient({ ...application, scope: 'read other:read' })
  const first = await tokensForBoth({ ...scene, client: wide }, other)
  const second = (await refresh(server, wide, first.refresh_token, { resource: other })).json()
  t.match(second, { scope: 'other:read' })
  t.equal(claimsOf(second.access_token)['aud'], other)
  t.match((await refresh(server, wide, second.refresh_token)).json(), { error: 'invalid_target' })
  const third = (await refresh(server, wide, second.refresh_token, { resource: apiIdentifier })).json()
  t.equal(claimsOf(third.access_token)['aud'], apiIdentifier)
})

async function tokensForBoth(inScene: Scene, other: string): Promise<TokenAnswer> {
  const issued = await codeFor(inScene, { scope: ['read', 'other:read'], resources: [apiIdentifier, other] })
  return (await redeem(inScene.server, inScene.client, issued, { resource: apiIdentifier })).json()
}

t.test('OIDC Core §11: with offline_access it outlives the session, without it ends with it', async (t) => {
  const bound = await tokensFor(scene)
  const offline = await tokensFor(scene, { scope: ['read', 'offline_access'], offline: true })
  t.equal(claimsOf(bound.access_token)['sid'], bound.issued.sid)
  t.notOk('sid' in claimsOf(offline.access_token))
  for (const { issued } of [bound, offline]) {
    const session = await sessions.findById(server.ctx.db, issued.sid)
    if (!session) throw new Error('there is no such session')
    await revoke(server.ctx, { kind: 'session', id: issued.sid, ...session }, cause)
  }
  await hasEnded(t, client, bound.refresh_token, bound.access_token)
  t.match(await introspect(server, api, offline.access_token), { active: true })
  const next = await lives(t, client, offline.refresh_token)
  t.equal(next.scope, 'read offline_access')
})

t.test('without offline_access it ends when the session is over', async (t) => {
  const bound = await tokensFor(scene)
  const offline = await tokensFor(scene, { offline: true })
  server.clock.advance(4 * day)
  const next = await lives(t, client, bound.refresh_token)
  const nextOffline = await lives(t, client, offline.refresh_token)
  server.clock.advance(3 * day)
  t.match((await refresh(server, client, next.refresh_token)).json(), { error: 'invalid_grant' })
  await lives(t, client, nextOffline.refresh_token)
})

t.test('the answer is encrypted at rest, under a key that only the presented token gives', async (t) => {
  const first = await tokensFor(scene)
  const second = (await refresh(server, client, first.refresh_token)).json()
  const rows = await sql(server, `SELECT encode(answer, 'escape') AS text FROM refresh_answer`)
  t.ok(rows.length > 0)
  const text = rows.map((row) => row.text).join()
  for (const secret of [second.refresh_token, second.access_token, 'access_token']) t.notMatch(text, secret)
})

t.test('RFC 6749 §5.2: what is malformed or missing is named, what is unknown is not explained', async (t) => {
  const ask = async (refresh_token: string) => (await refresh(server, client, refresh_token)).json()
  t.match(await ask(''), { error: 'invalid_request', error_description: 'The parameter refresh_token is missing.' })
  const unknown = await ask(`ort_1_${'x'.repeat(43)}`)
  t.match(unknown, { error: 'invalid_grant' })
  const { access_token } = await tokensFor(scene)
  for (const token of ['x', access_token, `oat_1_${'x'.repeat(43)}`, `ort_zzzzzz_${'x'.repeat(43)}`]) {
    t.same(await ask(token), unknown)
  }
})
