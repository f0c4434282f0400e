import pg from 'pg'
import t, { type Test } from 'tap'
import { disableClient, enableClient } from '../../src/clients/index.js'
import { disableUser, enableUser } from '../../src/identity/index.js'
import { openContext } from '../../src/open-context.js'
import { createRole, grantRole, withdrawRole } from '../../src/resources/index.js'
import { endableBy, revoke } from '../../src/revocation/index.js'
import { sessions } from '../../src/store/index.js'
import { SeededRandom } from '../support/random.js'
import { createTestServer, type TestClient, type TestServer } from '../support/server.js'
import {
  application,
  claimsOf,
  codeFor,
  type IssuedTokens,
  introspect,
  lookupsOf,
  openScene,
  postAs,
  redeem,
  refresh,
  revokeAt,
  type Scene,
  tokensFor,
} from '../support/tokens.js'

const scene = await openScene(t)
const { server, client, api, user } = scene
/** A second process on the same database, which hears of nothing unless it reads. */
const beside = await createTestServer(t, { beside: server })
const by = { actor: 'operator' }
const cause = { actor: 'operator', reason: 'test' }

const opaqueApi = await server.createResource('https://opaque.example', 'view', { tokenFormat: 'opaque' })
await beside.refresh()

/** What the token is worth, asked at the process that has heard of nothing. */
async function isActive(token: string, owner: TestClient = api): Promise<boolean> {
  return (await introspect(beside, owner, token)).active
}

t.test('RFC 7009 §2.1: revoking a refresh token ends its access tokens', async (t) => {
  const first = await tokensFor(scene)
  const second = (await refresh(server, client, first.refresh_token)).json()
  const reply = await revokeAt(server, client, second.refresh_token)
  t.equal(reply.statusCode, 200)
  t.equal(reply.body, '')
  t.equal(reply.headers['content-length'], '0')
  t.equal(reply.headers['cache-control'], 'no-store')
  t.notOk(await isActive(first.access_token), 'the one from before the refresh')
  t.notOk(await isActive(second.access_token))
  t.match((await refresh(server, client, second.refresh_token)).json(), { error: 'invalid_grant' })
  const events = await server.audit('grant.revoked')
  t.match(
    events.filter(({ grantId }) => grantId === first.issued.grantId),
    [{ actor: `client:${client.clientId}`, subject: user.id, reason: 'revoked_by_client', ip: '127.0.0.1' }],
  )
})

t.test('RFC 7009 §2.1: a refresh token that was rotated away still ends its family', async (t) => {
  const first = await tokensFor(scene)
  const second = (await refresh(server, client, first.refresh_token)).json()
  t.equal((await revokeAt(server, client, first.refresh_token)).statusCode, 200)
  t.notOk(await isActive(second.access_token))
  t.match((await refresh(server, client, second.refresh_token)).json(), { error: 'invalid_grant' })
})

t.test('RFC 7009 §2.1: revoking an access token ends it alone', async (t) => {
  const first = await tokensFor(scene)
  const second = (await refresh(server, client, first.refresh_token)).json()
  t.equal((await revokeAt(server, client, first.access_token)).statusCode, 200)
  t.notOk(await isActive(first.access_token))
  t.ok(await isActive(second.access_token))
  t.equal((await refresh(server, client, second.refresh_token)).statusCode, 200)
})

t.test('RFC 7009 §2.1: an opaque access token and one of a service are revoked alike', async (t) => {
  const service = await server.createService('view read')
  for (const [scope, owner] of [
    ['view', opaqueApi],
    ['read', api],
  ] as const) {
    const reply = await postAs(server, service, '/token', { grant_type: 'client_credentials', scope })
    const { access_token } = reply.json()
    t.ok(await isActive(access_token, owner))
    t.equal((await revokeAt(server, service, access_token)).statusCode, 200)
    t.notOk(await isActive(access_token, owner))
  }
})

t.test('RFC 7009 §2.2: what is unknown to us is answered like what was revoked', async (t) => {
  const first = await tokensFor(scene)
  await revokeAt(server, client, first.refresh_token)
  for (const token of ['x', `ort_1_${'x'.repeat(43)}`, `oat_1_${'x'.repeat(43)}`, 'a.b.c', first.refresh_token]) {
    const reply = await revokeAt(server, client, token)
    t.equal(reply.statusCode, 200, token.slice(0, 5))
    t.equal(reply.body, '')
  }
})

t.test('RFC 7009 §2.1: the hint is of no consequence', async (t) => {
  for (const token_type_hint of ['access_token', 'refresh_token', 'nonsense']) {
    const tokens = await tokensFor(scene)
    t.equal((await revokeAt(server, client, tokens.access_token, { token_type_hint })).statusCode, 200)
    t.notOk(await isActive(tokens.access_token))
    t.equal((await revokeAt(server, client, tokens.refresh_token, { token_type_hint })).statusCode, 200)
    t.match((await refresh(server, client, tokens.refresh_token)).json(), { error: 'invalid_grant' })
  }
})

t.test('RFC 7009 §2.1: the client proves itself; a public one by naming itself', async (t) => {
  const tokens = await tokensFor(scene)
  t.equal((await server.post('/revoke', { token: tokens.access_token })).statusCode, 401)
  t.equal((await server.post('/revoke', { token: tokens.access_token, client_id: client.clientId })).statusCode, 401)
  t.ok(await isActive(tokens.access_token))
  const missing = await postAs(server, client, '/revoke', {})
  t.match(missing.json(), { error: 'invalid_request', error_description: 'The parameter token is missing.' })

  const spa = await server.createClient({ ...application, token_endpoint_auth_method: 'none' })
  const own = await tokensFor({ ...scene, client: spa })
  t.equal((await revokeAt(server, spa, own.refresh_token)).statusCode, 200)
  t.notOk(await isActive(own.access_token))
})

/** Each way to end tokens, and which of those that a test has it ends. */
interface Ending {
  readonly name: string
  readonly end: (of: { tokens: IssuedTokens; client: TestClient; user: { id: string } }) => Promise<unknown>
}

const endings: readonly Ending[] = [
  { name: 'its refresh token', end: ({ tokens, client }) => revokeAt(server, client, tokens.refresh_token) },
  { name: 'itself', end: ({ tokens, client }) => revokeAt(server, client, tokens.access_token) },
  { name: 'its session', end: async ({ tokens }) => endSession(server, tokens.issued.sid) },
  {
    name: 'its client',
    end: ({ client }) => revoke(server.ctx, { kind: 'client', clientId: client.clientId }, cause),
  },
  { name: 'its user', end: ({ user }) => revoke(server.ctx, { kind: 'user', userId: user.id }, cause) },
  { name: 'its client, by disabling it', end: ({ client }) => disableClient(server.ctx, client.clientId, by) },
  { name: 'its user, by disabling them', end: ({ user }) => disableUser(server.ctx, user.id, by) },
]

async function endSession(at: TestServer, sid: string): Promise<void> {
  const session = await sessions.findById(at.ctx.db, sid)
  if (!session) throw new Error('there is no such session')
  await revoke(at.ctx, { kind: 'session', id: sid, ...session }, cause)
}

t.test('from the answer on, every process sees by introspection what was revoked', async (t) => {
  for (const [index, { name, end }] of endings.entries()) {
    for (const [owner, resource, scope] of [
      [api, 'https://api.example.com', 'read'],
      [opaqueApi, 'https://opaque.example', 'view'],
    ] as const) {
      const someone = await server.createUser(`user${index}.${scope}@example.com`)
      const app = await server.createClient({ ...application, scope })
      const inScene: Scene = { ...scene, client: app, user: someone }
      const tokens = await tokensFor(inScene, { scope: [scope], resources: [resource] })
      const other = await tokensFor(scene, { scope: ['read'] })
      t.ok(await isActive(tokens.access_token, owner))
      await end({ tokens, client: app, user: someone })
      t.notOk(await isActive(tokens.access_token, owner), `${name}: ${scope}`)
      t.ok(await isActive(other.access_token), `${name}: nothing else`)
    }
  }
})

t.test('memory follows by reading the list', async (t) => {
  for (const { name, end } of endings) {
    const app = await server.createClient(application)
    const someone = await server.createUser(`memory.${name.replaceAll(/[^a-z]/g, '')}@example.com`)
    const tokens = await tokensFor({ ...scene, client: app, user: someone })
    await end({ tokens, client: app, user: someone })
    t.ok(endsInMemory(server, tokens.access_token), `${name}: the process that revoked`)
    t.notOk(endsInMemory(beside, tokens.access_token), `${name}: another one has not heard`)
    await beside.ctx.revocations.refresh()
    t.ok(endsInMemory(beside, tokens.access_token), `${name}: it has read`)
  }
})

function endsInMemory({ ctx }: Pick<TestServer, 'ctx'>, token: string): boolean {
  const claims = claimsOf(token) as unknown as Parameters<typeof endableBy>[0] & { iat: number }
  return ctx.revocations.ends(endableBy(claims), claims.iat)
}

t.test('memory follows within a second, also where every notification is lost', async (t) => {
  const { config, log } = server.ctx
  const heard: string[] = []
  const query = pg.Client.prototype.query
  // The follower listens to nothing: what it hears, it has read.
  pg.Client.prototype.query = function (this: pg.Client, ...args: Parameters<typeof query>) {
    if (String(args[0]) === 'LISTEN ostiary') {
      heard.push(String(args[0]))
      return Reflect.apply(query, this, ['SELECT 1'])
    }
    return query.apply(this, args)
  } as typeof query
  const follower = await openContext({
    config,
    log,
    databaseUrl: server.databaseUrl,
    clock: server.clock,
    random: new SeededRandom('follower'),
    follow: true,
  }).finally(() => {
    pg.Client.prototype.query = query
  })
  t.teardown(() => follower.close())
  t.equal(heard.length, 1, 'it would have listened')

  // The fastest of a few, since the machine may be busy with other tests.
  let fastest = Number.POSITIVE_INFINITY
  for (let round = 0; round < 3 && fastest >= 1_000; round++) {
    const tokens = await tokensFor(scene)
    await revokeAt(server, client, tokens.refresh_token)
    const start = performance.now()
    while (!endsInMemory({ ...server, ctx: follower }, tokens.access_token)) {
      if (performance.now() - start > 20_000) break
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    fastest = Math.min(fastest, performance.now() - start)
  }
  t.ok(fastest < 1_000, `heard after ${Math.round(fastest)} ms`)
})

t.test('revoke --client ends what was issued, and the client goes on', async (t) => {
  const app = await server.createClient(application)
  const inScene = { ...scene, client: app }
  const tokens = await tokensFor(inScene)
  const waiting = await codeFor(inScene)
  await revoke(server.ctx, { kind: 'client', clientId: app.clientId }, cause)
  t.match((await refresh(server, app, tokens.refresh_token)).json(), { error: 'invalid_grant' })
  t.match((await redeem(server, app, waiting)).json(), { error: 'invalid_grant' }, 'a code that waited')
  server.clock.advance(0.001)
  const next = await tokensFor(inScene)
  t.ok(await isActive(next.access_token), 'the next ones are good at once')
  t.equal((await refresh(server, app, next.refresh_token)).statusCode, 200)
})

t.test('client disable stops new issuance, and enable ends only that', async (t) => {
  const app = await server.createClient({
    ...application,
    grant_types: [...application.grant_types, 'client_credentials'],
  })
  const inScene = { ...scene, client: app }
  const tokens = await tokensFor(inScene)
  const waiting = await codeFor(inScene)
  const asService = () => postAs(server, app, '/token', { grant_type: 'client_credentials', scope: 'read' })
  const service = (await asService()).json()

  await disableClient(server.ctx, app.clientId, by)
  for (const reply of [
    await asService(),
    await refresh(server, app, tokens.refresh_token),
    await redeem(server, app, waiting),
    await revokeAt(server, app, tokens.access_token),
  ]) {
    t.equal(reply.statusCode, 401)
    t.match(reply.json(), { error: 'invalid_client' })
  }
  await enableClient(server.ctx, app.clientId, by)
  t.notOk(await isActive(tokens.access_token), 'what it had before stays ended')
  t.notOk(await isActive(service.access_token))
  t.match((await refresh(server, app, tokens.refresh_token)).json(), { error: 'invalid_grant' })
  t.match((await redeem(server, app, waiting)).json(), { error: 'invalid_grant' })
  const next = (await asService()).json()
  t.ok(await isActive(next.access_token), 'what it gets now is good')
})

t.test('a process that has not heard of a disabled client issues nothing that passes', async (t) => {
  const service = await server.createService('read')
  const asService = () => postAs(beside, service, '/token', { grant_type: 'client_credentials', scope: 'read' })
  t.equal((await asService()).statusCode, 200)
  await disableClient(server.ctx, service.clientId, by)
  const late = await asService()
  t.equal(late.statusCode, 200, 'it has not heard')
  t.notOk(await isActive(late.json().access_token))
  await beside.ctx.revocations.refresh()
  t.equal((await asService()).statusCode, 401, 'it has read the list, and its copy of the client is as old as before')
})

t.test('a disabled user gets nothing, and once enabled only what is new', async (t) => {
  const someone = await server.createUser('disabled@example.com')
  const inScene = { ...scene, user: someone }
  const tokens = await tokensFor(inScene, { offline: true })
  const waiting = await codeFor(inScene)
  await disableUser(server.ctx, someone.id, by)
  t.match((await refresh(server, client, tokens.refresh_token)).json(), { error: 'invalid_grant' })
  t.match((await redeem(server, client, waiting)).json(), { error: 'invalid_grant' })
  await enableUser(server.ctx, someone.id, by)
  t.notOk(await isActive(tokens.access_token))
  t.match((await refresh(server, client, tokens.refresh_token)).json(), { error: 'invalid_grant' })
  server.clock.advance(0.001)
  const next = await tokensFor(inScene)
  t.ok(await isActive(next.access_token))
})

t.test('nothing is issued in the rest of the second of a revocation, and what is issued then is good', async (t) => {
  server.clock.set(new Date(Math.ceil(server.clock.now().getTime() / 1000) * 1000 + 250))
  const service = await server.createService('read')
  const ask = async (at: TestServer) =>
    (await postAs(at, service, '/token', { grant_type: 'client_credentials', scope: 'read' })).json().access_token
  const second = Math.floor(server.clock.now().getTime() / 1000)
  const before = await ask(server)
  t.equal(claimsOf(before)['iat'], second)

  await revoke(server.ctx, { kind: 'client', clientId: service.clientId }, cause)
  server.clock.advance(0.5)
  const unheard = await ask(beside)
  t.equal(claimsOf(unheard)['iat'], second)
  t.notOk(await isActive(before))
  t.notOk(await isActive(unheard), 'a process that has not heard gives what is refused, never what is wrongly good')

  const after = await ask(server)
  t.equal(server.clock.now().getTime(), (second + 1) * 1000, 'it waited for the next second')
  t.equal(claimsOf(after)['iat'], second + 1)
  t.ok(await isActive(after))
  t.ok(await isActive(await ask(beside)), 'in the next second the other is right without having heard')
})

t.test('a role withdrawn from a user ends the tokens with its scope, and the next come without', async (t) => {
  const identifier = 'https://roles.example'
  const owner = await server.createResource(identifier, 'look change', { usesRoles: true })
  for (const scope of ['look', 'change']) {
    await createRole(server.ctx, { resource: identifier, name: scope, scope: [scope] }, by)
    await grantRole(server.ctx, identifier, scope, { kind: 'user', holder: user.id }, by)
  }
  const app = await server.createClient({ ...application, scope: 'look change read' })
  const inScene = { ...scene, client: app }
  const asked = { scope: ['look', 'change'], resources: [identifier] }
  const tokens = await tokensFor(inScene, asked)
  const elsewhere = await tokensFor(scene)
  t.equal(tokens.scope, 'look change')
  await beside.refresh()
  server.clock.advance(1)

  await withdrawRole(server.ctx, identifier, 'change', { kind: 'user', holder: user.id }, by)
  t.notOk(await isActive(tokens.access_token, owner))
  t.ok(await isActive(elsewhere.access_token), 'at other resources nothing has changed')
  const next = (await refresh(server, app, tokens.refresh_token)).json()
  t.equal(next.scope, 'look', 'the grant lives')
  t.ok(await isActive(next.access_token, owner))

  await withdrawRole(server.ctx, identifier, 'look', { kind: 'user', holder: user.id }, by)
  const none = await refresh(server, app, next.refresh_token)
  t.match(none.json(), { error: 'invalid_scope' })
  await grantRole(server.ctx, identifier, 'change', { kind: 'user', holder: user.id }, by)
  await isGranted(t, app, next.refresh_token, 'change')
})

t.test('a role withdrawn from a client is given by no process that has read the list, heard or not', async (t) => {
  const identifier = 'https://unheard.example'
  await server.createResource(identifier, 'see', { usesRoles: true })
  await createRole(server.ctx, { resource: identifier, name: 'seer', scope: ['see'] }, by)
  const service = await server.createService('see')
  const holder = { kind: 'client', holder: service.clientId } as const
  await grantRole(server.ctx, identifier, 'seer', holder, by)
  await beside.refresh()
  const ask = () => postAs(beside, service, '/token', { grant_type: 'client_credentials', scope: 'see' })
  t.equal((await ask()).statusCode, 200)

  await withdrawRole(server.ctx, identifier, 'seer', holder, by)
  server.clock.advance(1)
  t.equal((await ask()).statusCode, 200, 'the client is in memory, as it was')
  await beside.ctx.revocations.refresh()
  t.match((await ask()).json(), { error: 'invalid_scope' })
})

/** That no answer was given for want of a scope has not spent the token. */
async function isGranted(t: Test, app: TestClient, refreshToken: string, scope: string): Promise<void> {
  const reply = await refresh(server, app, refreshToken)
  t.equal(reply.statusCode, 200)
  t.equal(reply.json().scope, scope)
}

t.test('the cost of ending a user does not depend on how many tokens there are', async (t) => {
  const endUser = async (tokens: number) => {
    const someone = await server.createUser(`many${tokens}@example.com`)
    for (let index = 0; index < tokens; index++) await tokensFor({ ...scene, user: someone })
    return lookupsOf(server, () => revoke(server.ctx, { kind: 'user', userId: someone.id }, cause))
  }
  t.same(await endUser(1), await endUser(20))
})
