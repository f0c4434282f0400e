import t from 'tap'
import { deleteClient, disableClient } from '../../src/clients/index.js'
import { deleteResource } from '../../src/clients/resource-servers.js'
import { disableUser, setPassword } from '../../src/identity/index.js'
import { revoke } from '../../src/revocation/index.js'
import { consents, sessions } from '../../src/store/index.js'
import { authorizationUrl, signedIn } from '../support/authorization.js'
import { listenToFeed } from '../support/feed.js'
import { createTestServer, sql } from '../support/server.js'
import { createStatusVerifier } from '../support/status-lists.js'
import { saveDecisions } from '../support/store.js'
import {
  apiIdentifier,
  application,
  claimsOf,
  codeFor,
  introspect,
  openScene,
  postAs,
  redeem,
  refresh,
  revokeAt,
  tokensFor,
} from '../support/tokens.js'

const scene = await openScene(t)
const { server, client, api } = scene
const beside = await createTestServer(t, { beside: server })
const by = { actor: 'operator' }
const cause = { ...by, reason: 'test' }
const inactive = { active: false }

t.test(
  'attack 82: whoever is neither the audience nor the client learns that it is not active, and no more',
  async (t) => {
    const opaque = await server.createResource('https://opaque.example', 'view', { tokenFormat: 'opaque' })
    const app = await server.createClient({ ...application, scope: 'read view' })
    const inScene = { ...scene, client: app }
    const strangers = [
      client,
      await server.createService('read view'),
      await server.createResource('https://x.example', 'x'),
    ]
    for (const [owner, others, resource, scope] of [
      [api, [...strangers, opaque], apiIdentifier, 'read'],
      [opaque, [...strangers, api], 'https://opaque.example', 'view'],
    ] as const) {
      const tokens = await tokensFor(inScene, { scope: [scope], resources: [resource] })
      for (const other of others) {
        const reply = await postAs(server, other, '/introspect', { token: tokens.access_token })
        t.equal(reply.body, '{"active":false}', scope)
        t.equal(reply.statusCode, 200)
        t.same(await introspect(server, other, tokens.refresh_token), inactive)
      }
      t.match(await introspect(server, owner, tokens.access_token), { active: true })
      t.match(await introspect(server, app, tokens.access_token), { active: true })
      t.same(await introspect(server, owner, tokens.refresh_token), inactive, 'a refresh token is its client’s alone')
    }
  },
)

t.test('attack 82: the client of a resource server is its own audience alone, whatever it calls itself', async (t) => {
  const { access_token } = await tokensFor(scene)
  const imposters = [
    await server.createService('', { client_id: apiIdentifier }),
    await server.createService('', { client_name: apiIdentifier, allowed_resources: [apiIdentifier] }),
    await server.createResource(`${apiIdentifier}/`, 'slash'),
  ]
  for (const imposter of imposters) t.same(await introspect(server, imposter, access_token), inactive)
})

t.test('attack 83: inactive at once, at another process, after whatever ends a token', async (t) => {
  type Ended = { token: string; refreshToken: string; app: typeof client; userId: string; sid: string }
  const endings: Readonly<Record<string, (of: Ended) => Promise<unknown>>> = {
    'its revocation': ({ app, token }) => revokeAt(server, app, token),
    'the revocation of its refresh token': ({ app, refreshToken }) => revokeAt(server, app, refreshToken),
    logout: async ({ sid }) => {
      const session = await sessions.findById(server.ctx.db, sid)
      if (session) await revoke(server.ctx, { kind: 'session', id: sid, ...session }, cause)
    },
    'the revocation of its user': ({ userId }) => revoke(server.ctx, { kind: 'user', userId }, cause),
    'another password': ({ userId }) => setPassword(server.ctx, userId, 'a new horse battery', by),
    'the user is disabled': ({ userId }) => disableUser(server.ctx, userId, by),
    'the revocation of its client': ({ app }) => revoke(server.ctx, { kind: 'client', clientId: app.clientId }, cause),
    'the client is disabled': ({ app }) => disableClient(server.ctx, app.clientId, by),
    'the client is deleted': ({ app }) => deleteClient(server.ctx, app.clientId, by),
  }
  for (const [index, [name, end]] of Object.entries(endings).entries()) {
    const someone = await server.createUser(`someone${index}@example.com`)
    const app = await server.createClient(application)
    const tokens = await tokensFor({ ...scene, user: someone, client: app })
    t.match(await introspect(beside, api, tokens.access_token), { active: true })
    await end({
      token: tokens.access_token,
      refreshToken: tokens.refresh_token,
      app,
      userId: someone.id,
      sid: tokens.issued.sid,
    })
    t.same(await introspect(beside, api, tokens.access_token), inactive, name)
  }
})

t.test('attack 83: what belongs to a deleted API is worth nothing', async (t) => {
  const identifier = 'https://gone.example'
  const owner = await server.createResource(identifier, 'gone')
  const app = await server.createClient({ ...application, scope: 'gone' })
  const tokens = await tokensFor({ ...scene, client: app }, { scope: ['gone'], resources: [identifier] })
  await deleteResource(server.ctx, identifier, by)
  t.equal((await postAs(server, owner, '/introspect', { token: tokens.access_token })).statusCode, 401)
  const next = await refresh(server, app, tokens.refresh_token)
  t.equal(next.statusCode, 400, 'and no other is issued')
})

t.test('attack 85: another client’s token is not revoked', async (t) => {
  const thief = await server.createClient(application)
  const spa = await server.createClient({ ...application, token_endpoint_auth_method: 'none' })
  const opaque = await server.createResource('https://opaque2.example', 'look', { tokenFormat: 'opaque' })
  const app = await server.createClient({ ...application, scope: 'read look' })
  const inScene = { ...scene, client: app }
  const jwt = await tokensFor(inScene, { scope: ['read'] })
  const reference = await tokensFor(inScene, { scope: ['look'], resources: ['https://opaque2.example'] })
  for (const token of [jwt.access_token, jwt.refresh_token, reference.access_token, reference.refresh_token]) {
    for (const other of [thief, spa, api, opaque]) {
      for (const token_type_hint of ['access_token', 'refresh_token']) {
        const reply = await revokeAt(server, other, token, { token_type_hint })
        t.equal(reply.statusCode, 400)
        t.match(reply.json(), { error: 'invalid_grant' })
      }
    }
  }
  t.match(await introspect(server, api, jwt.access_token), { active: true })
  t.match(await introspect(server, opaque, reference.access_token), { active: true })
  for (const { refresh_token } of [jwt, reference]) t.equal((await refresh(server, app, refresh_token)).statusCode, 200)
})

t.test('attack 85: what is unknown is 200, and a wrong hint is no obstacle', async (t) => {
  for (const token of ['nonsense', `ort_1_${'x'.repeat(43)}`, `oat_1_${'x'.repeat(43)}`, 'a.b.c']) {
    for (const token_type_hint of ['access_token', 'refresh_token', 'nonsense']) {
      const reply = await revokeAt(server, client, token, { token_type_hint })
      t.equal(reply.statusCode, 200)
      t.equal(reply.body, '')
    }
  }
  const tokens = await tokensFor(scene)
  t.equal((await revokeAt(server, client, tokens.refresh_token, { token_type_hint: 'access_token' })).statusCode, 200)
  t.same(await introspect(beside, api, tokens.access_token), inactive)
  t.equal((await revokeAt(server, client, tokens.refresh_token)).statusCode, 200, 'once more')
})

t.test('attack 85: a JWT that was revoked appears in its status list, and no other does', async (t) => {
  const service = await server.createService('read')
  const machine = await postAs(server, service, '/token', { grant_type: 'client_credentials' })
  const [first, second] = [await tokensFor(scene), await tokensFor(scene)]
  const ended = [
    [service, machine.json().access_token],
    [client, first.access_token],
  ] as const
  const rotated = (await refresh(server, client, second.refresh_token)).json()
  for (const [of, token] of ended) t.equal((await revokeAt(server, of, token)).statusCode, 200)
  t.equal((await revokeAt(server, api, rotated.access_token)).statusCode, 400, 'a stranger ends nothing')

  // Both processes publish it, whichever heard of the revocation.
  for (const each of [server, beside]) {
    const { statusOf } = createStatusVerifier(each)
    for (const [, token] of ended) t.equal(await statusOf(token), 1)
    for (const { access_token } of [second, rotated]) t.equal(await statusOf(access_token), 0)
  }
  t.equal((await revokeAt(server, client, rotated.refresh_token)).statusCode, 200)
  server.clock.advance(60)
  const { statusOf } = createStatusVerifier(beside)
  for (const { access_token } of [second, rotated]) t.equal(await statusOf(access_token), 1, 'with its family')
})

/** Makes every new entry of the revocation list fail as the database would, until it is called again. */
async function failing(state: string | undefined): Promise<void> {
  await sql(server, 'DROP TRIGGER IF EXISTS failing ON revocation')
  if (state === undefined) return
  await sql(
    server,
    `CREATE OR REPLACE FUNCTION failing() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'as the test wants' USING ERRCODE = '${state}'; END $$`,
  )
  await sql(server, 'CREATE TRIGGER failing BEFORE INSERT ON revocation FOR EACH ROW EXECUTE FUNCTION failing()')
}

t.test('attack 86: where a revocation is not stored, it is not said to be', async (t) => {
  const tokens = await tokensFor(scene)
  for (const [state, status, error] of [
    ['53100', 503, 'temporarily_unavailable'],
    ['25006', 503, 'temporarily_unavailable'],
    ['57P01', 503, 'temporarily_unavailable'],
    ['XX000', 500, 'server_error'],
  ] as const) {
    await failing(state)
    for (const token of [tokens.access_token, tokens.refresh_token]) {
      const reply = await revokeAt(server, client, token)
      t.equal(reply.statusCode, status, state)
      t.match(reply.json(), { error })
      t.equal('retry-after' in reply.headers, status === 503)
      t.notMatch(reply.body, 'as the test wants')
    }
    await failing(undefined)
    t.match(await introspect(beside, api, tokens.access_token), { active: true }, 'nothing of it happened')
    t.match(await introspect(beside, client, tokens.refresh_token), { active: true })
  }
  const events = (await server.audit('grant.revoked')).filter(({ grantId }) => grantId === tokens.issued.grantId)
  t.same(events, [])
  t.equal((await revokeAt(server, client, tokens.refresh_token)).statusCode, 200)
  t.same(await introspect(beside, api, tokens.access_token), inactive)
})

t.test(
  'attack 86: a replay that cannot be stored is answered 503, and ends the grant when it is repeated',
  async (t) => {
    const { issued, ...tokens } = await tokensFor(scene)
    await failing('53100')
    t.equal((await redeem(server, client, issued)).statusCode, 503)
    await failing(undefined)
    t.match((await redeem(server, client, issued)).json(), { error: 'invalid_grant' })
    t.same(await introspect(beside, api, tokens.access_token), inactive)
  },
)

t.test('attack 86: revoking a refresh token ends the access tokens, revoking a user everything', async (t) => {
  const someone = await server.createUser('everything@example.com')
  const inScene = { ...scene, user: someone }
  const tokens = await tokensFor(inScene, { offline: true })
  const waiting = await codeFor(inScene)
  const { db, clock } = server.ctx
  const decision = { resource: apiIdentifier, scope: 'read', granted: true }
  await saveDecisions(db, someone.id, client.clientId, [decision], clock.now())
  const standing = () =>
    sql(
      server,
      `SELECT 1 FROM session s JOIN user_account u ON u.id = s.user_id
        WHERE s.user_id = $1 AND s.ended_at IS NULL AND (u.not_before IS NULL OR s.created_at > u.not_before)`,
      [someone.id],
    )
  t.equal((await standing()).length, 2)

  await revoke(server.ctx, { kind: 'user', userId: someone.id }, cause)
  t.same(await introspect(beside, api, tokens.access_token), inactive)
  t.same(await introspect(beside, client, tokens.refresh_token), inactive)
  t.match((await refresh(beside, client, tokens.refresh_token)).json(), { error: 'invalid_grant' })
  t.match((await redeem(beside, client, waiting)).json(), { error: 'invalid_grant' })
  t.same(await standing(), [], 'the sessions')
  t.same(await consents.list(db, someone.id, client), [], 'the consents')
})

t.test('attack 86: after that the browser has to sign in again', async (t) => {
  const someone = await server.createUser('browser@example.com')
  const browser = await signedIn(server, someone)
  t.equal((await browser.open(authorizationUrl(client))).step, 'consent')
  await revoke(server.ctx, { kind: 'user', userId: someone.id }, cause)
  t.equal((await browser.open(authorizationUrl(client))).step, 'login')
})

t.test('attack 83: the API is told, whatever ends the token, before the answer of whoever ended it', async (t) => {
  const listener = await listenToFeed(t, server, api)
  await listener.untilHeartbeat()
  const tokens = await tokensFor(scene)
  await revokeAt(server, client, tokens.refresh_token)
  t.match(await listener.untilEntry(tokens.issued.grantId), { kind: 'grant' })
  const someone = await server.createUser('told@example.com')
  await tokensFor({ ...scene, user: someone })
  await disableUser(server.ctx, someone.id, by)
  t.match(await listener.untilEntry(someone.id), { kind: 'user' })
})

t.test('attack 85: of another client’s token, and of one that is unknown, the feed hears nothing', async (t) => {
  const thief = await server.createClient(application)
  const listener = await listenToFeed(t, server, api)
  await listener.untilHeartbeat()
  const tokens = await tokensFor(scene)
  for (const token of [tokens.access_token, tokens.refresh_token, 'nonsense', 'a.b.c'])
    await revokeAt(server, thief, token)
  await listener.untilHeartbeat()
  t.same(listener.entries(), [])
})

t.test('attack 86: where a revocation is not stored, the feed says nothing of it', async (t) => {
  const listener = await listenToFeed(t, server, api)
  await listener.untilHeartbeat()
  const tokens = await tokensFor(scene)
  await failing('53100')
  t.equal((await revokeAt(server, client, tokens.access_token)).statusCode, 503)
  await failing(undefined)
  await server.refresh()
  await listener.untilHeartbeat()
  t.same(listener.entries(), [])
  t.equal((await revokeAt(server, client, tokens.access_token)).statusCode, 200)
  t.match(await listener.untilEntry(String(claimsOf(tokens.access_token)['jti'])), { kind: 'token' })
})

t.test('attack 136: whoever may not hear it learns nothing of what is revoked', async (t) => {
  const { access_token } = await tokensFor(scene)
  await revoke(server.ctx, { kind: 'user', userId: scene.user.id }, cause)
  for (const path of ['/revocations', '/revocations/snapshot']) {
    for (const authorization of [undefined, client.basic, `Bearer ${access_token}`]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization }
      const reply = await server.get(path, headers)
      t.equal(reply.statusCode, 401)
      t.notMatch(reply.body, scene.user.id)
      t.notMatch(JSON.stringify(reply.headers), /position/)
    }
  }
})
