import t, { type Test } from 'tap'
import { updateClient } from '../../src/clients/index.js'
import { deleteUnusedClients } from '../../src/jobs/index.js'
import { createInitialAccessToken, listInitialAccessTokens } from '../../src/protocol/registration/index.js'
import { clients, unusedClients } from '../../src/store/index.js'
import { authorize, type Person, redirectUri } from '../support/authorization.js'
import { verifier } from '../support/grants.js'
import { registered } from '../support/registration.js'
import { createTestServer, registration, sql, type TestServer } from '../support/server.js'

const day = 86_400
const env = { REGISTRATION: 'open', REGISTRATION_QUOTA: '1000', REGISTRATION_UNUSED_DAYS: '7' }

t.test(
  'attack 93: a client that registered itself and never got a token is deleted, by whichever worker',
  async (t) => {
    const server = await createTestServer(t, { env })
    const beside = await createTestServer(t, { beside: server, env })
    const user = await server.createUser()
    const used = await registered(server)
    const asking = await registered(server)
    const unused = await Promise.all(Array.from({ length: 12 }, () => registered(server)))
    const administered = await server.createClient()
    const lookedAfter = await registered(server)
    await updateClient(server.ctx, lookedAfter.clientId, { client_name: 'Partner' }, registration)

    const { code = '' } = await authorize(server, used, user, { scope: 'openid' })
    const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri }
    t.equal((await server.post('/token', form, { authorization: used.basic })).statusCode, 200)
    const wrong = await server.post('/token', { ...form, code: 'wrong' }, { authorization: asking.basic })
    t.equal(wrong.statusCode, 400, 'who asks and gets nothing is not used')

    server.clock.advance(7 * day)
    await deleteUnusedClients(server.ctx)
    t.equal((await server.audit('client.deleted')).length, 0, 'a code that is on its way has its time')
    server.clock.advance(60)
    await Promise.all([deleteUnusedClients(server.ctx), deleteUnusedClients(beside.ctx)])
    const gone = await server.audit('client.deleted')
    t.same(gone.map(({ clientId }) => clientId).sort(), [asking, ...unused].map(({ clientId }) => clientId).sort())
    const listed = await server.ctx.db.query('listed', "SELECT target FROM revocation WHERE kind = 'client'", [])
    t.same(listed, [], 'nobody has to hear of what never had a token')
    await server.refresh()
    t.ok(await server.ctx.clients.find(used.clientId))
    t.ok(await server.ctx.clients.find(administered.clientId))
    t.ok(await server.ctx.clients.find(lookedAfter.clientId), 'an administrator changed it')
  },
)

/** What is done right before the statement of this name is sent to the database. */
function before(t: Test, { ctx }: TestServer, name: string, work: () => Promise<unknown>) {
  const { query } = ctx.db
  const sent: string[] = []
  const late: typeof query = async (...statement) => {
    sent.push(statement[0])
    if (statement[0] === name) await work()
    return query(...statement)
  }
  Object.assign(ctx.db, { query: late })
  t.teardown(() => void Object.assign(ctx.db, { query }))
  return sent
}

/** A client at the end of its time, for whom a code is on its way, and its request. */
async function atItsEnd(server: TestServer, user: Person) {
  const client = await registered(server)
  server.clock.advance(7 * day + 60)
  const { code = '' } = await authorize(server, client, user, { scope: 'openid' })
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri }
  return { ...client, redeem: () => server.post('/token', form, { authorization: client.basic }) }
}

const isThere = async (server: TestServer, { clientId }: { readonly clientId: string }): Promise<boolean> =>
  (await sql(server, 'SELECT 1 FROM client WHERE client_id = $1', [clientId])).length === 1

t.test('attack 93: a client that gets its first token when it would be deleted stays, at once', async (t) => {
  const server = await createTestServer(t, { env })
  const client = await atItsEnd(server, await server.createUser())
  const sent = before(t, server, 'unused_clients.keep', async () => undefined)
  t.equal((await client.redeem()).statusCode, 200)
  await deleteUnusedClients(server.ctx)
  t.ok(await isThere(server, client))
  t.equal(sent.filter((name) => name === 'unused_clients.keep').length, 1)
})

t.test('attack 93: a client that is deleted before its first token gets none', async (t) => {
  const server = await createTestServer(t, { env })
  const beside = await createTestServer(t, { beside: server, env })
  const client = await atItsEnd(server, await server.createUser())
  before(t, server, 'unused_clients.keep', () => deleteUnusedClients(beside.ctx))
  const reply = await client.redeem()
  t.equal(reply.statusCode, 401)
  t.match(reply.json(), { error: 'invalid_client', access_token: undefined })
  t.match(server.logs.join(''), /"reason":"client_unused"/)
  t.notOk(await isThere(server, client))
})

t.test('attack 93: nor from a process that has not heard of it', async (t) => {
  const types = 'authorization_code client_credentials'
  const server = await createTestServer(t, { env: { ...env, REGISTRATION_GRANT_TYPES: types } })
  const client = await registered(server, { grant_types: types.split(' ') })
  const form = { grant_type: 'client_credentials' }
  const asks = () => server.post('/token', form, { authorization: client.basic })
  await server.post('/token', { grant_type: 'unknown' }, { authorization: client.basic })
  before(t, server, 'unused_clients.keep', () =>
    sql(server, 'DELETE FROM client WHERE client_id = $1', [client.clientId]),
  )
  t.match((await asks()).json(), { error: 'invalid_client', access_token: undefined })
})

t.test('attack 93: of a first token and the deletion one comes first', async (t) => {
  const server = await createTestServer(t, { env })
  const beside = await createTestServer(t, { beside: server, env })
  const user = await server.createUser()
  for (let round = 0; round < 12; round++) {
    const client = await atItsEnd(server, user)
    const [reply] = await Promise.all([client.redeem(), deleteUnusedClients(beside.ctx)])
    t.equal(reply.statusCode === 200, await isThere(server, client), `${reply.statusCode}`)
    server.clock.advance(day)
  }
})

t.test('only the first token of a client that registered itself costs a statement', async (t) => {
  const server = await createTestServer(t, { env })
  const user = await server.createUser()
  const sent = before(t, server, 'unused_clients.keep', async () => undefined)
  const service = await server.createService()
  t.equal(
    (await server.post('/token', { grant_type: 'client_credentials' }, { authorization: service.basic })).statusCode,
    200,
  )
  t.notOk(sent.includes('unused_clients.keep'))
  const client = await registered(server, { grant_types: ['authorization_code', 'refresh_token'] })
  const { code = '' } = await authorize(server, client, user, { scope: 'openid' })
  const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri }
  let { refresh_token } = (await server.post('/token', form, { authorization: client.basic })).json()
  for (let time = 0; time < 3; time++) {
    const refresh = { grant_type: 'refresh_token', refresh_token }
    refresh_token = (await server.post('/token', refresh, { authorization: client.basic })).json().refresh_token
    t.ok(refresh_token)
  }
  t.equal(sent.filter((name) => name === 'unused_clients.keep').length, 1)
})

t.test('a first token waits for whoever deletes its client, and is none then', async (t) => {
  const server = await createTestServer(t, { env })
  for (const isDeleted of [true, false]) {
    const { clientId } = await registered(server)
    let kept: Promise<boolean> | undefined
    const deleting = server.ctx.db.transaction(async (tx) => {
      await clients.findForUpdate(tx, clientId)
      kept = unusedClients.keep(server.ctx.db, clientId)
      const waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
      while ((await sql(server, waits)).length === 0) {}
      await clients.remove(tx, clientId)
      if (!isDeleted) throw new Error('undone')
    })
    await deleting.catch(() => undefined)
    t.equal(await kept, !isDeleted)
  }
})

t.test('registration tokens are shown for a month after they are over', async (t) => {
  const server = await createTestServer(t, { env })
  await createInitialAccessToken(server.ctx, { maxUses: 1, lifetime: day }, { actor: 'operator' })
  server.clock.advance(31 * day)
  await deleteUnusedClients(server.ctx)
  t.equal((await listInitialAccessTokens(server.ctx)).length, 1)
  server.clock.advance(1)
  await deleteUnusedClients(server.ctx)
  t.equal((await listInitialAccessTokens(server.ctx)).length, 0)
})

t.test(
  'attack 93: where strangers describe thousands of clients, the oldest make room before their day is over',
  async (t) => {
    const server = await createTestServer(t)
    const { clientId } = await server.createClient()
    /** So many of them, made so many minutes ago. */
    const describe = (count: number, minutes: number) =>
      sql(
        server,
        `INSERT INTO client
       SELECT (jsonb_populate_record(c, jsonb_build_object(
                'client_id', 'https://' || n || '.example/' || $2::int, 'document_hash', '\\x01', 'self_registered', true,
                'unused_until', $3::timestamptz - make_interval(mins => $2::int)))).*
         FROM client c, generate_series(1, $4::int) n WHERE c.client_id = $1`,
        [clientId, minutes, new Date(server.clock.now().getTime() + day * 1000), count],
      )
    const left = () =>
      sql(
        server,
        `SELECT split_part(client_id, '/', 4)::int AS minutes, count(*)::int FROM client
        WHERE document_hash IS NOT NULL GROUP BY 1 ORDER BY 1`,
      )
    await describe(5_010, 14)
    await deleteUnusedClients(server.ctx)
    t.same(await left(), [{ minutes: 14, count: 5_010 }], 'a quarter of an hour is left to each')
    await describe(8, 60)
    await describe(5, 20)
    await deleteUnusedClients(server.ctx)
    t.same(await left(), [{ minutes: 14, count: 5_010 }])
    await sql(
      server,
      `DELETE FROM client WHERE client_id IN (SELECT client_id FROM client WHERE client_id LIKE '%/14' LIMIT 13)`,
    )
    await describe(8, 60)
    await deleteUnusedClients(server.ctx)
    t.same(
      await left(),
      [
        { minutes: 14, count: 4_997 },
        { minutes: 60, count: 3 },
      ],
      'and who is no more than one too many stays',
    )
  },
)
