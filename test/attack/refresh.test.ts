import t from 'tap'
import { disableClient, enableClient, updateClient } from '../../src/clients/index.js'
import { disableUser, enableUser, setPassword } from '../../src/identity/index.js'
import { revoke } from '../../src/revocation/index.js'
import { sessions } from '../../src/store/index.js'
import { createTestServer, registration, sql, type TestServer } from '../support/server.js'
import {
  application,
  codeFor,
  introspect,
  lookupsOf,
  openScene,
  redeem,
  refresh,
  tokensFor,
} from '../support/tokens.js'

const scene = await openScene(t)
const { server, client, api, user } = scene
const beside = await createTestServer(t, { beside: server })
const by = { actor: 'operator' }
const invalidGrant = { error: 'invalid_grant', error_description: 'The refresh token is invalid.' }

/** 200 at once, at two servers in turn. */
function race(token: string, formOf: (index: number) => Record<string, string> = () => ({})) {
  const at = (index: number): TestServer => (index % 2 ? beside : server)
  return Promise.all(Array.from({ length: 200 }, (_, index) => refresh(at(index), client, token, formOf(index))))
}

async function countSuccessors(grantId: string): Promise<number> {
  const rows = await sql(server, 'SELECT used_at FROM refresh_token WHERE grant_id = $1', [grantId])
  return rows.length - 1
}

t.test('attack 55: 200 refreshes of one token at once make one successor, and all get the same answer', async (t) => {
  const { issued, refresh_token } = await tokensFor(scene)
  const replies = await race(refresh_token)
  t.ok(replies.every(({ statusCode }) => statusCode === 200))
  t.equal(new Set(replies.map(({ body }) => body)).size, 1)
  t.equal(await countSuccessors(issued.grantId), 1)
  t.match(await introspect(server, api, replies[0]?.json().access_token), { active: true })
  t.equal((await refresh(beside, client, replies[0]?.json().refresh_token)).statusCode, 200)
})

t.test('attack 55: of different requests at once one is answered, and the token is taken for stolen', async (t) => {
  const { issued, refresh_token } = await tokensFor(scene)
  const forms = ['read', 'write', 'read write', 'write read']
  const replies = await race(refresh_token, (index) => ({ scope: forms[index % 4] ?? '' }))
  const answered = replies.filter(({ statusCode }) => statusCode === 200)
  t.ok(answered.length > 0)
  t.equal(new Set(answered.map(({ body }) => body)).size, 1, 'one winner, whose retries get its answer')
  for (const reply of replies) if (!answered.includes(reply)) t.same(reply.json(), invalidGrant)
  t.equal(await countSuccessors(issued.grantId), 1)
  const { access_token, refresh_token: next } = answered[0]?.json() ?? {}
  t.same(await introspect(beside, api, access_token), { active: false })
  t.same((await refresh(server, client, next)).json(), invalidGrant)
})

t.test('attack 55: a code and a refresh of what came of it cannot be confused', async (t) => {
  const issued = await codeFor(scene)
  t.same((await refresh(server, client, issued.code)).json(), invalidGrant)
  const tokens = (await redeem(server, client, issued)).json()
  t.match((await redeem(server, client, { form: { ...issued.form, code: tokens.refresh_token } })).json(), {
    error: 'invalid_grant',
  })
  t.equal((await refresh(server, client, tokens.refresh_token)).statusCode, 200)
})

t.test('attack 56: an old token after the window is reuse: the family ends, and the audit says so', async (t) => {
  const { issued, refresh_token: first } = await tokensFor(scene)
  const second = (await refresh(server, client, first)).json()
  const third = (await refresh(server, client, second.refresh_token)).json()
  server.clock.advance(11)
  t.same((await refresh(beside, client, first)).json(), invalidGrant)
  for (const token of [second.refresh_token, third.refresh_token]) {
    t.same((await refresh(server, client, token)).json(), invalidGrant)
  }
  t.same(await introspect(server, api, third.access_token), { active: false })
  const revoked = (await server.audit('grant.revoked')).filter(({ grantId }) => grantId === issued.grantId)
  t.match(revoked, [
    {
      actor: `client:${client.clientId}`,
      clientId: client.clientId,
      subject: scene.user.id,
      reason: 'refresh_token_reused',
      ip: '127.0.0.1',
    },
  ])
})

t.test('attack 57: a refresh by another client', async (t) => {
  const other = await server.createClient(application)
  const spa = await server.createClient({ ...application, token_endpoint_auth_method: 'none' })
  const { refresh_token, issued } = await tokensFor(scene)
  for (const thief of [other, spa]) t.same((await refresh(server, thief, refresh_token)).json(), invalidGrant)
  const refused = (await server.audit('token.refused')).filter(({ grantId }) => grantId === issued.grantId)
  for (const { clientId } of [other, spa]) {
    const told = { actor: `client:${clientId}`, subject: user.id, reason: 'refresh_token_of_another_client' }
    t.match(
      refused.find((event) => event.clientId === clientId),
      { ...told, ip: '127.0.0.1' },
    )
  }
  t.equal(refused.length, 2)
  const next = await refresh(server, client, refresh_token)
  t.equal(next.statusCode, 200, 'its owner is not shut out')
  for (const thief of [other, spa]) t.same((await refresh(beside, thief, refresh_token)).json(), invalidGrant)
  t.equal((await refresh(server, client, next.json().refresh_token)).statusCode, 200)
})

t.test('attack 58: a wider scope', async (t) => {
  const { refresh_token, issued } = await tokensFor(scene, { scope: ['read'] })
  for (const scope of ['read write', 'write', 'openid', 'read unknown', 'READ', 'read  read', '*', 'read\u00a0write']) {
    const reply = await refresh(server, client, refresh_token, { scope })
    t.equal(reply.statusCode, 400)
    t.match(reply.json(), { error: 'invalid_scope' }, scope)
  }
  t.equal(await countSuccessors(issued.grantId), 0)
  const narrowed = (await refresh(server, client, refresh_token, { scope: 'read' })).json()
  t.match((await refresh(server, client, narrowed.refresh_token, { scope: 'read write' })).json(), {
    error: 'invalid_scope',
  })
})

t.test('attack 59: a resource that was not granted', async (t) => {
  await server.createResource('https://other.example.com', 'other')
  const { refresh_token, issued } = await tokensFor(scene)
  for (const resource of [
    'https://other.example.com',
    'https://api.example.com/',
    'https://API.example.com',
    'https://unknown.example',
    'nonsense',
    ['https://api.example.com', 'https://other.example.com'],
  ]) {
    const reply = await refresh(server, client, refresh_token, { resource })
    t.equal(reply.statusCode, 400)
    t.match(reply.json(), { error: 'invalid_target' }, String(resource))
  }
  t.equal(await countSuccessors(issued.grantId), 0)
  t.equal((await refresh(server, client, refresh_token)).statusCode, 200)
})

t.test('attack 61: nothing is refreshed after whatever ends a grant', async (t) => {
  const endings: Readonly<Record<string, (of: { userId: string; clientId: string; sid: string }) => Promise<unknown>>> =
    {
      'the password was changed': ({ userId }) => setPassword(server.ctx, userId, 'a new horse battery', by),
      'the user was disabled': ({ userId }) => disableUser(server.ctx, userId, by),
      'the user was disabled and enabled again': async ({ userId }) => {
        await disableUser(server.ctx, userId, by)
        await enableUser(server.ctx, userId, by)
      },
      'the client was revoked': ({ clientId }) =>
        revoke(server.ctx, { kind: 'client', clientId }, { ...by, reason: 'test' }),
      'the client was disabled and enabled again': async ({ clientId }) => {
        await disableClient(server.ctx, clientId, by)
        await enableClient(server.ctx, clientId, by)
      },
    }
  for (const [index, [name, end]] of Object.entries(endings).entries()) {
    for (const offline of [false, true]) {
      const app = await server.createClient(application)
      const someone = await server.createUser(`ending${index}.${offline}@example.com`)
      const tokens = await tokensFor({ ...scene, client: app, user: someone }, { offline })
      await end({ userId: someone.id, clientId: app.clientId, sid: tokens.issued.sid })
      beside.ctx.clients.dropAll()
      t.same((await refresh(beside, app, tokens.refresh_token)).json(), invalidGrant, name)
      t.equal(await countSuccessors(tokens.issued.grantId), 0)
    }
  }
  const app = await server.createClient(application)
  const tokens = await tokensFor({ ...scene, client: app })
  await disableClient(server.ctx, app.clientId, by)
  t.equal((await refresh(server, app, tokens.refresh_token)).statusCode, 401, 'a disabled client is not even asked')
})

t.test('attack 61: after the session ended only what is offline is refreshed', async (t) => {
  for (const offline of [false, true]) {
    const tokens = await tokensFor(scene, { offline })
    const session = await sessions.findById(server.ctx.db, tokens.issued.sid)
    if (!session) throw new Error('there is no such session')
    const cause = { actor: `user:${session.userId}`, reason: 'logout' }
    await revoke(server.ctx, { kind: 'session', id: tokens.issued.sid, ...session }, cause)
    t.equal((await refresh(beside, client, tokens.refresh_token)).statusCode, offline ? 200 : 400)
  }
})

t.test('attack 62: a rotated token that is replayed after the server has started again', async (t) => {
  const { refresh_token } = await tokensFor(scene)
  const second = (await refresh(server, client, refresh_token)).json()
  const third = (await refresh(server, client, second.refresh_token)).json()
  const started = await createTestServer(t, { beside: server, seed: 'started again' })
  t.same((await refresh(started, client, refresh_token)).json(), invalidGrant, 'nothing of it was in memory alone')
  t.same((await refresh(started, client, third.refresh_token)).json(), invalidGrant, 'and the family has ended')
})

t.test('attack 63: rotation does not move the absolute end', async (t) => {
  const short = await server.createClient({
    ...application,
    refresh_token_lifetime: 1000,
    refresh_token_idle_lifetime: 600,
  })
  let { refresh_token, issued } = await tokensFor({ ...scene, client: short }, { offline: true, lifetime: 1000 })
  for (const _ of [1, 2]) {
    server.clock.advance(400)
    refresh_token = (await refresh(server, short, refresh_token)).json().refresh_token
  }
  const rows = await sql(server, 'SELECT max(expires_at) AS latest FROM refresh_token WHERE grant_id = $1', [
    issued.grantId,
  ])
  t.equal(rows[0]?.latest.getTime(), server.clock.now().getTime() + 200_000)
  server.clock.advance(200)
  t.same((await refresh(server, short, refresh_token)).json(), invalidGrant)
})

t.test('attack 63: nor does a client that is registered with a longer one afterwards', async (t) => {
  const short = await server.createClient(application)
  const { refresh_token } = await tokensFor({ ...scene, client: short }, { offline: true, lifetime: 1000 })
  await updateClient(server.ctx, short.clientId, { refresh_token_lifetime: 400 * 86_400 }, registration)
  server.clock.advance(1000)
  t.same((await refresh(server, short, refresh_token)).json(), invalidGrant)
})

t.test('attack 64: a confidential client that does not prove itself', async (t) => {
  const { refresh_token, issued } = await tokensFor(scene)
  const form = { grant_type: 'refresh_token', refresh_token }
  for (const [name, reply] of Object.entries({
    nothing: await server.post('/token', form),
    'its name alone': await server.post('/token', { ...form, client_id: client.clientId }),
    'an empty secret': await server.post('/token', { ...form, client_id: client.clientId, client_secret: '' }),
    'a wrong secret': await server.post('/token', form, { authorization: client.basic.slice(0, -8) }),
    'a secret by another method': await server.post('/token', {
      ...form,
      client_id: client.clientId,
      client_secret: client.clientSecret,
    }),
  })) {
    t.equal(reply.statusCode, 401, name)
    t.match(reply.json(), { error: 'invalid_client' }, name)
  }
  t.equal(await countSuccessors(issued.grantId), 0)
  t.equal((await refresh(server, client, refresh_token)).statusCode, 200, 'nobody has ended it')
})

t.test('attack 53: what cannot be a refresh token of ours is never looked up', async (t) => {
  for (const token of ['%', '_', `ort_1_%`, `ort_1_${'_'.repeat(42)}%`, "ort_1_' OR 1=1", `ort_-1_${'x'.repeat(43)}`]) {
    const statements = await lookupsOf(server, async () => {
      t.same((await refresh(server, client, token)).json(), invalidGrant, token)
    })
    t.same(statements, [])
  }
})
