import t, { type Test } from 'tap'
import { createRole, deleteRole, grantRole, withdrawRole } from '../../src/resources/index.js'
import { endableBy, revoke } from '../../src/revocation/index.js'
import type { RoleHolder } from '../../src/store/index.js'
import { createTestServer, type TestClient, type TestServer } from '../support/server.js'
import { createStatusVerifier } from '../support/status-lists.js'
import {
  application,
  claimsOf,
  codeFor,
  openScene,
  postAs,
  redeem,
  refresh,
  type Scene,
  type TokenAnswer,
  tokensFor,
} from '../support/tokens.js'

// A role is withdrawn from its holder, while another process has not heard of it, or has just read that it is held. By
// whatever way a token still says the role, everybody who knows the revocation list refuses it.

const scene = await openScene(t)
const { server } = scene
const by = { actor: 'operator' }
const guarded = 'https://guarded.example'
const owner = await server.createResource(guarded, 'look change', { usesRoles: true })
for (const scope of ['look', 'change']) {
  await createRole(server.ctx, { resource: guarded, name: scope, scope: [scope] }, by)
}
const asked = { scope: ['look', 'change'], resources: [guarded] }
/** A second process on the same database, which hears of nothing unless it reads. */
const beside = await createTestServer(t, { beside: server })

/** Somebody who holds both roles, in the middle of a second in which nothing has happened yet. */
async function hold(holder: RoleHolder): Promise<void> {
  for (const name of ['look', 'change']) await grantRole(server.ctx, guarded, name, holder, by)
  server.clock.set(new Date(Math.ceil(server.clock.now().getTime() / 1000) * 1000 + 1_500))
  for (const each of [server, beside]) await each.refresh()
}

async function holdingClient(): Promise<{ service: TestClient; holder: RoleHolder }> {
  const service = await server.createService('look change')
  const holder = { kind: 'client', holder: service.clientId } as const
  await hold(holder)
  return { service, holder }
}

let people = 0
async function holdingUser(more: object = {}): Promise<{ inScene: Scene; holder: RoleHolder }> {
  const user = await server.createUser(`holder${people++}@example.com`)
  const client = await server.createClient({ ...application, scope: 'look change', ...more })
  const holder = { kind: 'user', holder: user.id } as const
  await hold(holder)
  return { inScene: { ...scene, user, client }, holder }
}

const withdraw = (holder: RoleHolder) => withdrawRole(server.ctx, guarded, 'change', holder, by)

function askAsService(at: TestServer, service: TestClient) {
  return postAs(at, service, '/token', { grant_type: 'client_credentials', scope: 'look change' })
}

/** Whether the list ends it, as everybody knows who follows the feed. */
async function isEnded(token: string): Promise<boolean> {
  const claims = claimsOf(token) as unknown as Parameters<typeof endableBy>[0] & { iat: number }
  await server.ctx.revocations.refresh()
  return server.ctx.revocations.ends(endableBy(claims), claims.iat)
}

/** What everybody does who has the list: by the feed, or by the status list that is made of it. */
async function isRefused(t: Test, token: string, what: string): Promise<void> {
  t.ok(await isEnded(token), `${what}: by the feed`)
  server.clock.advance(60)
  t.equal(await createStatusVerifier(server).statusOf(token), 1, `${what}: by the status list`)
}

/** Lets something happen when the statement has been answered by the database, and its process does not know that yet. */
function beforeAnswer(at: TestServer, name: string, happen: () => Promise<unknown>): void {
  const { pool } = at.ctx.db
  const query = pool.query
  pool.query = (async (...args: Parameters<typeof query>) => {
    const result = await (query.apply(pool, args) as unknown as Promise<unknown>)
    const [statement]: readonly unknown[] = args
    if (typeof statement === 'object' && statement !== null && 'name' in statement && statement.name === name) {
      pool.query = query
      await happen()
    }
    return result
  }) as unknown as typeof query
}

for (const seconds of [0, 0.4, 0.6, 1, 2.9]) {
  t.test(`a process that has heard nothing for ${seconds} s gives a client what everybody refuses`, async (t) => {
    const { service, holder } = await holdingClient()
    t.match((await askAsService(beside, service)).json(), { scope: 'look change' })
    await withdraw(holder)
    server.clock.advance(seconds)
    const late = (await askAsService(beside, service)).json<TokenAnswer>()
    t.equal(late.scope, 'look change', 'it cannot know')
    const { exp } = claimsOf(late.access_token) as { exp: number }
    t.equal(late.expires_in, exp - Math.floor(server.clock.now().getTime() / 1000))
    await isRefused(t, late.access_token, 'the late one')

    await beside.ctx.revocations.refresh()
    const next = (await askAsService(beside, service)).json<TokenAnswer>()
    t.equal(next.scope, 'look', 'having heard it gives what is left')
  })
}

t.test('one that has heard nothing for longer reads the list first', async (t) => {
  const { service, holder } = await holdingClient()
  await withdraw(holder)
  server.clock.advance(3.1)
  const reply = (await askAsService(beside, service)).json<TokenAnswer>()
  t.equal(reply.scope, 'look')
  t.equal(claimsOf(reply.access_token)['iat'], Math.floor(server.clock.now().getTime() / 1000))
})

t.test('what says nothing of roles is of the second in which it is issued', async (t) => {
  const service = await server.createService('read')
  await hold({ kind: 'client', holder: service.clientId })
  server.clock.advance(2)
  const reply = await postAs(beside, service, '/token', { grant_type: 'client_credentials', scope: 'read' })
  t.equal(claimsOf(reply.json().access_token)['iat'], Math.floor(server.clock.now().getTime() / 1000))
})

const usesOfGrant = {
  'a code': {
    statement: 'authorization_codes.find',
    async prepare(inScene: Scene) {
      const code = await codeFor(inScene, asked)
      return (at: TestServer) => redeem(at, inScene.client, code)
    },
  },
  'a refresh token': {
    statement: 'refresh_tokens.find',
    async prepare(inScene: Scene) {
      const { refresh_token } = await tokensFor(inScene, asked)
      return (at: TestServer) => refresh(at, inScene.client, refresh_token)
    },
  },
} as const

for (const [what, { statement, prepare }] of Object.entries(usesOfGrant)) {
  t.test(`${what} whose roles were read before one is withdrawn, and that is answered in a later second`, async (t) => {
    const { inScene, holder } = await holdingUser()
    const use = await prepare(inScene)
    beforeAnswer(beside, statement, async () => {
      await withdraw(holder)
      server.clock.advance(1)
    })
    const reply = (await use(beside)).json<TokenAnswer>()
    t.equal(reply.scope, 'look change', 'it has read that both are held')
    await isRefused(t, reply.access_token, what)
  })

  t.test(`${what} whose roles were read before one is withdrawn: who hears of it reads them again`, async (t) => {
    const { inScene, holder } = await holdingUser()
    const use = await prepare(inScene)
    beforeAnswer(server, statement, () => withdraw(holder))
    const reply = (await use(server)).json<TokenAnswer>()
    t.equal(reply.scope, 'look')
    t.notOk(await isEnded(reply.access_token), 'and it is good')
  })
}

t.test('the same for a client that keeps its refresh token', async (t) => {
  const { inScene, holder } = await holdingUser({ refresh_token_rotation: false })
  const { refresh_token } = await tokensFor(inScene, asked)
  beforeAnswer(server, 'refresh_tokens.find', () => withdraw(holder))
  t.equal((await refresh(server, inScene.client, refresh_token)).json().scope, 'look')
})

t.test('a client whose token waits for the next second is looked at again', async (t) => {
  const { service, holder } = await holdingClient()
  await revoke(server.ctx, { kind: 'client', clientId: service.clientId }, { ...by, reason: 'test' })
  const { until } = server.clock
  server.clock.until = async (time) => {
    server.clock.until = until
    await withdraw(holder)
    await until.call(server.clock, time)
  }
  t.equal((await askAsService(server, service)).json().scope, 'look')
})

t.test('a withdrawal that is committed in a later second ends what was issued until then', async (t) => {
  const { inScene, holder } = await holdingUser()
  const { refresh_token } = await tokensFor(inScene, asked)
  // As long as this transaction is open the withdrawal waits: its instant is taken, and nobody sees it.
  const blocker = await server.ctx.db.pool.connect()
  await blocker.query('BEGIN')
  await blocker.query('LOCK TABLE revocation IN EXCLUSIVE MODE')
  const withdrawn = withdraw(holder)
  const waits = "SELECT 1 FROM pg_locks WHERE relation = 'revocation'::regclass AND NOT granted"
  while ((await blocker.query(waits)).rows.length === 0);
  server.clock.advance(1)
  const reply = (await refresh(beside, inScene.client, refresh_token)).json<TokenAnswer>()
  await blocker.query('COMMIT')
  blocker.release()
  await withdrawn
  t.equal(reply.scope, 'look change')
  await isRefused(t, reply.access_token, 'what was issued meanwhile')
})

t.test('a role that is deleted is withdrawn from everybody in the same way', async (t) => {
  await createRole(server.ctx, { resource: guarded, name: 'both', scope: ['look', 'change'] }, by)
  const service = await server.createService('look change')
  const user = await server.createUser('both@example.com')
  const client = await server.createClient({ ...application, scope: 'look change' })
  const inScene = { ...scene, user, client }
  for (const holder of [
    { kind: 'client', holder: service.clientId },
    { kind: 'user', holder: user.id },
  ] as const) {
    await grantRole(server.ctx, guarded, 'both', holder, by)
  }
  server.clock.advance(1)
  for (const each of [server, beside]) await each.refresh()
  const { refresh_token } = await tokensFor(inScene, asked)
  t.equal((await askAsService(beside, service)).json().scope, 'look change', 'it is in memory now')
  beforeAnswer(beside, 'refresh_tokens.find', async () => {
    await deleteRole(server.ctx, guarded, 'both', by)
    server.clock.advance(1)
  })
  const ofUser = (await refresh(beside, client, refresh_token)).json<TokenAnswer>()
  const ofClient = (await askAsService(beside, service)).json<TokenAnswer>()
  t.same([ofUser.scope, ofClient.scope], ['look change', 'look change'])
  await isRefused(t, ofUser.access_token, 'the user’s')
  await isRefused(t, ofClient.access_token, 'the client’s')
})

t.test('attack 133: a process whose clock was set back reads all again, also what it has of clients', async (t) => {
  const { service, holder } = await holdingClient()
  const known = async () => (await beside.ctx.clients.find(service.clientId))?.roles.map(({ name }) => name).sort()
  t.same(await known(), ['change', 'look'])
  await withdraw(holder)
  server.clock.advance(-3_600)
  await beside.ctx.revocations.refresh()
  t.same(await known(), ['look'])
  server.clock.advance(3_600 + 2)
  await server.refresh()
})

t.test('introspection is exact at every process', async (t) => {
  const { service, holder } = await holdingClient()
  await withdraw(holder)
  server.clock.advance(1)
  const { access_token } = (await askAsService(beside, service)).json<TokenAnswer>()
  for (const each of [server, beside]) {
    t.same((await postAs(each, owner, '/introspect', { token: access_token })).json(), { active: false })
  }
})
