import t, { type Test } from 'tap'
import { endApplication } from '../../src/account/applications/end.js'
import { deleteClient } from '../../src/clients/index.js'
import type { Context } from '../../src/context.js'
import type { Db } from '../../src/store/index.js'
import { atAccount } from '../support/account.js'
import { authorizationUrl, signedIn } from '../support/authorization.js'
import { type IdTokens, idTokensFor, relyingParty } from '../support/logout.js'
import { createTestServer, sql, type TestClient, type TestServer } from '../support/server.js'
import { postAs } from '../support/tokens.js'

// Somebody ends an application that they have allowed something many times, which is done in pieces; and what an operator
// deletes, which is one: whatever breaks off on the way, what was committed stays, and the rest is ended by the next attempt.

/** Grants that one piece ends, as `src/account/applications/end.ts` has it. */
const piece = 500
const many = 2 * piece + 1

const columns =
  'bucket, client_id, user_id, session_bucket, session_id, scope, resources, offline, auth_time, created_at, expires_at'

interface Scene {
  readonly server: TestServer
  readonly user: { readonly id: string; readonly email: string; readonly password: string }
  readonly client: TestClient
  /** Of one of the grants. */
  readonly tokens: IdTokens
  readonly by: { readonly actor: string }
  readonly of: { readonly userId: string; readonly clientId: string }
}

/** A user with many grants of one application, and a grant of another. */
async function openScene(t: Test): Promise<Scene> {
  const server = await createTestServer(t)
  const user = await server.createUser('ada@example.com')
  const client = await server.createClient({ ...relyingParty, client_name: 'Acme Notes' })
  const browser = await signedIn(server, user)
  const tokens = await idTokensFor(server, client, user, browser, 'openid offline_access')
  await sql(
    server,
    `INSERT INTO authorization_grant (id, ${columns})
     SELECT gen_random_uuid(), ${columns} FROM authorization_grant g, generate_series(2, $1) WHERE g.client_id = $2`,
    [many, client.clientId],
  )
  return {
    server,
    user,
    client,
    tokens,
    by: { actor: `user:${user.id}` },
    of: { userId: user.id, clientId: client.clientId },
  }
}

async function countLeft({ server, of }: Scene): Promise<number> {
  const text = 'SELECT FROM authorization_grant WHERE client_id = $1 AND user_id = $2 AND ended_at IS NULL'
  return (await sql(server, text, [of.clientId, of.userId])).length
}

async function refreshes({ server, client, tokens }: Scene): Promise<boolean> {
  const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
  return (await postAs(server, client, '/token', form)).statusCode === 200
}

const isConsentKept = async ({ server, of }: Scene): Promise<boolean> =>
  (await sql(server, 'SELECT FROM consent WHERE client_id = $1 AND user_id = $2', [of.clientId, of.userId])).length > 0

/** How many grants each end says to have ended: of one instant, so in no order. */
const withdrawn = async ({ server }: Scene): Promise<readonly number[]> =>
  (await server.audit('consent.withdrawn'))
    .map(({ detail }) => Number((detail as Record<string, unknown>)['grants']))
    .sort()

/** Each grant that ended is an event, once. */
async function isAudited(t: Test, { server }: Scene, count: number): Promise<void> {
  const ended = (await server.audit('grant.revoked')).map(({ grantId }) => grantId)
  t.equal(ended.length, count)
  t.equal(new Set(ended).size, count, 'nothing twice')
}

type Transaction = Context['db']['transaction']

/** The same, whose transactions from the second on go as the test says. */
function interrupted(ctx: Context, then: (run: Transaction) => Transaction): Context {
  const run = ctx.db.transaction
  let count = 0
  const transaction: Transaction = (work) => (++count === 1 ? run(work) : then(run)(work))
  // Its client is made when it is first asked for: so it is not copied.
  return { ...ctx, db: Object.create(ctx.db, { transaction: { value: transaction } }) }
}

const gone = () => Object.assign(new Error('Connection terminated unexpectedly'), { code: 'ECONNRESET' })

/** Works until its commit, and then it is undone. */
const undone =
  (run: Transaction): Transaction =>
  (work) =>
    run(async (tx: Db) => {
      await work(tx)
      throw gone()
    })

t.test(
  'a process that is killed between two pieces: what it has ended is over, and the next attempt goes on',
  async (t) => {
    const scene = await openScene(t)
    const { server, of, by } = scene
    let killed = () => {}
    const dying = new Promise<void>((resolve) => (killed = resolve))
    // It gets no further than a process that is killed.
    const ctx = interrupted(server.ctx, () => () => {
      killed()
      return new Promise(() => undefined)
    })
    void endApplication(ctx, of, by)
    await dying
    t.equal(await countLeft(scene), many - piece)
    t.notOk(await isConsentKept(scene), 'it has to ask already')
    await isAudited(t, scene, piece)
    t.same(await withdrawn(scene), [], 'nobody was told that it is done')

    const beside = await createTestServer(t, { beside: server })
    await endApplication(beside.ctx, of, by)
    t.equal(await countLeft(scene), 0)
    t.notOk(await refreshes(scene))
    await isAudited(t, scene, many)
    t.same(await withdrawn(scene), [many - piece])
  },
)

t.test('a piece that is undone is undone as a whole, and what was committed before is said', async (t) => {
  const scene = await openScene(t)
  const { server, of, by } = scene
  await t.rejects(endApplication(interrupted(server.ctx, undone), of, by), /Connection terminated/)
  t.equal(await countLeft(scene), many - piece)
  await isAudited(t, scene, piece)
  t.same(await withdrawn(scene), [piece])
  await endApplication(server.ctx, of, by)
  t.equal(await countLeft(scene), 0)
  await isAudited(t, scene, many)
  t.same(await withdrawn(scene), [piece, many - piece])
})

t.test('a page says that it is done where it is, and nowhere else', async (t) => {
  const scene = await openScene(t)
  const { server, user, client } = scene
  const browser = await atAccount(server, user)
  const page = await browser.open('/account/applications')
  const { db } = server.ctx
  const { transaction } = db
  const broken = interrupted(server.ctx, undone).db.transaction
  Object.assign(db, { transaction: (work: (tx: Db) => Promise<unknown>) => broken.call(db, work) })
  const { form } = page.form(client.clientId)
  const reply = await browser.request('POST', '/account/applications', { form })
  t.equal(reply.statusCode, 503)
  Object.assign(db, { transaction })
  t.equal(await countLeft(scene), many - piece)

  const still = await browser.open('/account/applications')
  t.match(still.text, /Acme Notes/, 'what is left is seen')
  const after = await browser.submit(still, {}, { button: client.clientId })
  t.notMatch(after.text, /Acme Notes/)
  t.equal(await countLeft(scene), 0)
  const asked = await browser.open(authorizationUrl(client, { scope: 'openid' }))
  t.equal(asked.step, 'consent')
})

t.test('two that end it at once, from two processes: each grant ends once', async (t) => {
  const scene = await openScene(t)
  const { server, of, by } = scene
  const beside = await createTestServer(t, { beside: server })
  await Promise.all([endApplication(server.ctx, of, by), endApplication(beside.ctx, of, by)])
  t.equal(await countLeft(scene), 0)
  await isAudited(t, scene, many)
  t.equal(
    (await withdrawn(scene)).reduce((sum, count) => sum + count, 0),
    many,
  )
})

t.test('a grant that is made between two pieces ends too, and nothing of others', async (t) => {
  const scene = await openScene(t)
  const { server, of, by, user } = scene
  const other = await server.createClient({ ...relyingParty, client_name: 'Other' })
  const kept = {
    ...scene,
    client: other,
    tokens: await idTokensFor(server, other, user, undefined, 'openid offline_access'),
  }
  const bob = await server.createUser('bob@example.com')
  const theirs = { ...scene, tokens: await idTokensFor(server, scene.client, bob, undefined, 'openid offline_access') }
  let made: IdTokens | undefined
  const ctx = interrupted(server.ctx, (run) => async (work) => {
    made ??= await idTokensFor(server, scene.client, user, undefined, 'openid offline_access')
    return run(work)
  })
  await endApplication(ctx, of, by)
  t.equal(await countLeft(scene), 0)
  t.ok(made)
  t.notOk(await refreshes({ ...scene, tokens: made ?? scene.tokens }))
  t.ok(await refreshes(kept), 'another application of theirs')
  t.ok(await refreshes(theirs), 'somebody else’s of this one')
})

t.test('a client that is deleted goes with all that it has, or not at all', async (t) => {
  const scene = await openScene(t)
  const { server, client, by } = scene
  const beside = await createTestServer(t, { beside: server })
  const info = () => beside.get('/userinfo', { authorization: `Bearer ${scene.tokens.access_token}` })
  const transaction = undone(server.ctx.db.transaction)
  const broken = { ...server.ctx, db: Object.create(server.ctx.db, { transaction: { value: transaction } }) }
  await t.rejects(deleteClient(broken, client.clientId, by), /Connection terminated/)
  t.equal((await info()).statusCode, 200, 'nothing happened')
  t.same(await server.audit('client.deleted'), [])
  t.ok(await isConsentKept(scene))

  await deleteClient(server.ctx, client.clientId, by)
  await beside.refresh()
  t.equal((await info()).statusCode, 401)
  t.notOk(await refreshes(scene))
  t.notOk(await isConsentKept(scene))
  t.equal((await server.audit('client.deleted')).length, 1)
})
